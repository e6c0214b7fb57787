//! Walks over everything, for exports.

use std::ops::ControlFlow;

use super::*;
use crate::records::{JournalEntry, decode_bytes};
use swipeline_models::session::SessionSnapshot;
use swipeline_models::wire::UserDto;
use swipeline_storage::{ReadItem, Seq};

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

    /// Calls `each` for every event that the journal still holds, in order.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be read.
    #[expect(
        clippy::unused_async,
        reason = "an archive beyond the journal will be read asynchronously"
    )]
    pub async fn for_each_event(&self, each: &mut (dyn FnMut(Event) + Send)) -> Result<(), EngineError> {
        let reader = self.shared.storage.journal.read_from(Seq::FIRST);
        for read in reader.map_err(|error| EngineError::Unavailable(error.to_string()))? {
            let ReadItem::Record(record) = read else { continue };
            if let Ok(JournalEntry::Events { user, events }) = JournalEntry::read(&record) {
                events
                    .iter()
                    .filter_map(|event| event.event(&user))
                    .for_each(&mut *each);
            }
        }
        Ok(())
    }
}
