//! Recall by follows: the newest items of the authors whom the viewer follows.

use rand::RngExt;

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::{ScoredRow, keep_best};
use crate::time::DAY_MS;

/// How many followed authors are asked per recall; the start moves by chance, so that all have their turn.
const AUTHORS_MAX: usize = 40;
/// How many of an author's newest items are looked at.
const ITEMS_PER_AUTHOR: usize = 8;

/// By an author whom the viewer follows.
pub(super) struct FollowedChannel;

impl RecallChannel for FollowedChannel {
    fn channel(&self) -> Channel {
        Channel::Followed
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let follows = &context.session.follows;
        if follows.is_empty() {
            return;
        }
        let start = context.random.random_range(0..follows.len());
        let mut rows = std::mem::take(&mut context.scratch.rows);
        for place in 0..follows.len().min(AUTHORS_MAX) {
            rows.clear();
            let author = follows[(start + place) % follows.len()];
            context
                .world
                .catalogue
                .by_author()
                .sample(author, ITEMS_PER_AUTHOR, 0, 0, &mut rows);
            for row in &rows {
                if let Some(entry) = context.admission.snapshot.entry(*row)
                    && context.admits(*row)
                {
                    let age_days = context.now.since(entry.created_at).max(0) as f32 / DAY_MS as f32;
                    out.push(ScoredRow {
                        row: *row,
                        score: 1.0 / (1.0 + age_days),
                    });
                }
            }
        }
        context.scratch.rows = rows;
        keep_best(out, quota);
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Signal;
    use crate::ids::Row;
    use crate::pipeline::testing::{NOW, Viewer, catalogue_of, item, put, rows};
    use crate::recall::Channel;
    use crate::time::DAY_MS;
    use crate::wire::ItemDto;
    use crate::world::World;

    fn by_friend(world: &World, id: &str, age_days: i64) -> Row {
        let created_at = Some(NOW.plus_ms(-age_days * DAY_MS).0);
        put(
            world,
            ItemDto {
                created_at,
                ..item(id, "opera", "friend")
            },
        )
    }

    #[test]
    fn a_follow_shows_at_once_and_so_does_what_the_author_makes_afterwards() {
        let world = catalogue_of(600);
        let old = by_friend(&world, "old", 20);
        let newer = by_friend(&world, "newer", 6);
        let mut viewer = Viewer::new();
        for step in 0..12 {
            viewer.act(&world, 5 * step, Signal::Like);
        }
        viewer.feed(&world, 10);
        viewer.act(&world, old, Signal::Follow);
        let slate = viewer.feed(&world, 10);
        let found = slate.items.iter().find(|item| item.row == newer).expect("it is there");
        assert_eq!(found.reason, Channel::Followed);
        viewer.see(&world, &slate);
        let newest = by_friend(&world, "newest", 4);
        let slate = viewer.feed(&world, 10);
        let found = slate.items.iter().find(|item| item.row == newest).expect("it is there");
        assert!(found.channels.contains(Channel::Followed));
        let place = |row: Row| viewer.pool.rows.iter().position(|known| *known == row);
        assert!(place(newest).is_some() && place(newer).is_none());
        assert!(!rows(&slate).contains(&old), "it was acted on");
    }
}
