//! How much memory a session holds, so that all sessions together can keep within a budget.
//!
//! Owns the estimate: what grows with what a viewer does, by the room that was taken for it. What every session has is
//! its base. An estimate within some tenths is enough to choose whom to put to sleep.

use super::{Interest, SessionState};

/// Memory that a list holds, in bytes.
pub(crate) fn held<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}

/// What a viewer's counts in windows, habits or behaviour take where there are any, in bytes.
const LEDGER_BYTES: usize = 1_024;

impl SessionState {
    /// How many bytes the state holds, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let ledgers = [
            self.behaviour.is_some(),
            self.windows.is_some(),
            self.habits.is_some(),
            self.described.is_some(),
        ];
        size_of::<Self>()
            + interest_bytes(&self.short)
            + interest_bytes(&self.long)
            + self.recent.capacity() * size_of::<super::RecentAction>()
            + held(&self.follows)
            + self.exposure.memory_bytes()
            + self.event_ids.memory_bytes()
            + self.served.memory_bytes()
            + ledgers.into_iter().filter(|is_there| *is_there).count() * LEDGER_BYTES
    }
}

fn interest_bytes(interest: &Interest) -> usize {
    let words = [&interest.tags, &interest.categories, &interest.authors];
    held(&interest.positive)
        + held(&interest.negative)
        + words.into_iter().map(super::Affinities::memory_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use crate::params::Params;

    #[test]
    fn what_a_viewer_was_shown_counts() {
        let mut state = SessionState::new(UserId::new("u").expect("an id"));
        let empty = state.memory_bytes();
        assert!(empty < 8_192, "{empty}");
        (0..1_000).for_each(|hash| {
            state.show(hash, &Params::default());
        });
        let shown = state.memory_bytes() - empty;
        assert!((16_000..40_000).contains(&shown), "{shown}");
    }
}
