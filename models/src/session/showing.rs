//! One showing is one showing, whatever reports it: a feed that counted as shown, `seen`, or an `impression` event.
//!
//! Owns which of several reports counts as the impression. What a viewer acted on before anything reported it as shown is
//! still owed its impression; of everything else that counts as shown, the impression has been counted.

use super::SessionState;
use crate::params::Params;

/// How many items that were acted on still wait for their impression. A report that comes after so many others counts no
/// more: it is taken for a second report of a showing.
pub const UNREPORTED_MAX: usize = 64;

impl SessionState {
    /// Whether a report that the item of that hash was shown is the first one.
    #[must_use]
    pub fn impression_is_due(&self, hash: u64) -> bool {
        self.unreported.contains(&hash) || !self.exposure.contains(hash)
    }

    /// Takes a report that an item was shown. Returns whether it is the first one, which alone counts.
    pub fn report_shown(&mut self, hash: u64, params: &Params) -> bool {
        if !self.impression_is_due(hash) {
            return false;
        }
        self.unreported.retain(|known| *known != hash);
        self.show(hash, params);
        true
    }

    /// Lets an item count as shown because the viewer acted on it. Returns whether it did not before.
    pub(super) fn show_by_action(&mut self, hash: u64, params: &Params) -> bool {
        let newly_shown = self.show(hash, params);
        if newly_shown {
            if self.unreported.len() == UNREPORTED_MAX {
                self.unreported.pop_front();
            }
            self.unreported.push_back(hash);
        }
        newly_shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::Vocabularies;
    use crate::ids::UserId;
    use crate::session::SessionSnapshot;

    fn viewer() -> SessionState {
        SessionState::new(UserId::new("u").expect("an id"))
    }

    #[test]
    fn a_report_after_an_action_is_the_first_and_the_next_is_none() {
        let (mut state, params) = (viewer(), Params::default());
        assert!(state.show_by_action(7, &params));
        assert!(state.report_shown(7, &params) && !state.report_shown(7, &params));
        assert!(!state.show_by_action(7, &params) && !state.report_shown(7, &params));
        assert_eq!(state.shown, 1);
    }

    proptest! {
        /// Whatever order reports and actions come in, an item has at most one impression, and exactly one when it was
        /// reported at all; a restart in between changes nothing.
        #[test]
        fn an_item_has_one_impression(steps in proptest::collection::vec((0_u64..20, any::<bool>()), 0..80), at in 0_usize..80) {
            let (mut state, params, words) = (viewer(), Params::default(), Vocabularies::default());
            let mut counted = [0; 20];
            for (place, (hash, is_report)) in steps.iter().enumerate() {
                if place == at {
                    state = SessionSnapshot::of(&state, &words).restore(state.user.clone(), &words);
                }
                if *is_report {
                    counted[*hash as usize] += u32::from(state.report_shown(*hash, &params));
                } else {
                    state.show_by_action(*hash, &params);
                }
            }
            for hash in 0..20_u64 {
                let reported = steps.contains(&(hash, true));
                prop_assert_eq!(counted[hash as usize], u32::from(reported));
            }
        }
    }
}
