//! Walks over everything, for exports.

use std::ops::ControlFlow;

use super::*;
use crate::archive::{self, ArchiveStatus, TimeRange};
use crate::records::decode_bytes;
use swipeline_models::session::SessionSnapshot;
use swipeline_models::user::User;
use swipeline_models::wire::UserDto;
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::Cell;

impl Engine {
    /// Calls `each` for every item, in the order of their first upsert.
    pub fn for_each_item(&self, each: &mut dyn FnMut(&Item)) {
        let snapshot = Arc::clone(&self.shared.world.catalogue.load());
        snapshot.iter().for_each(|(_, entry)| each(&entry.item));
    }

    /// Calls `each` for every known user, in the order of their ids.
    ///
    /// # Errors
    /// `Unavailable` when the snapshots cannot be read.
    pub async fn for_each_user(&self, each: &mut (dyn FnMut(&User) + Send)) -> Result<(), EngineError> {
        service::checkpoint(&self.shared).await?;
        let mut users: Vec<UserDto> = Vec::new();
        let walked = self
            .shared
            .storage
            .snapshots
            .for_each(Tree::Sessions, &mut |key, value| {
                if let (Ok(id), Ok(snapshot)) = (std::str::from_utf8(key), decode_bytes::<SessionSnapshot>(value)) {
                    let described = snapshot.described().cloned().unwrap_or_default();
                    users.push(UserDto {
                        id: id.to_owned(),
                        ..described
                    });
                }
                ControlFlow::Continue(())
            });
        walked.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        users
            .into_iter()
            .filter_map(|user| user.into_user().ok())
            .for_each(|user| each(&user));
        Ok(())
    }

    /// Calls `each` for every archived row of a kind, wherever it is (hot, warm, cold), once, in the order in which it was
    /// accepted or served. The cells are those of [`crate::archive_table`]. Rows do not move meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when a tier cannot be read.
    pub fn for_each_archived(
        &self,
        kind: ArchiveKind,
        range: TimeRange,
        each: &mut dyn FnMut(Vec<Cell>),
    ) -> Result<(), EngineError> {
        archive::for_each_archived(&self.shared, kind, range, each)
    }

    /// What the archive holds; `None` for an engine in memory.
    #[must_use]
    pub fn archive_status(&self) -> Option<ArchiveStatus> {
        archive::status(&self.shared)
    }

    /// Makes files of everything that has been accepted and served up to now.
    ///
    /// # Errors
    /// `Conflict` when the archive is off, `Unavailable` with what went wrong.
    pub async fn roll_archive(&self) -> Result<(), EngineError> {
        let shared = self.shared.clone();
        let rolled = tokio::task::spawn_blocking(move || shared.archive.roll_now(&shared)).await;
        rolled.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }
}
