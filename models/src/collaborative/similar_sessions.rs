//! Which of the sessions that share an item with the viewer's vote: the most similar. Must not know how similarity comes
//! about.

/// A session that shares an item, while it is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Similar {
    pub(super) session: u32,
    pub(super) similarity: f32,
    /// Steps back from the newest item of the evolving session to the newest shared one.
    pub(super) back: u32,
    pub(super) last_at: i64,
}

/// Weighs, by a factor of at most 1, all that can be among the `limit` most similar, and drops the others, which are many:
/// what is less similar before than the last of `limit` that are weighed cannot be among them.
pub(super) fn weigh_best(similar: &mut Vec<Similar>, limit: usize, weigh: impl Fn(&mut Similar)) {
    if limit == 0 || similar.len() <= limit {
        return similar.iter_mut().for_each(weigh);
    }
    similar.select_nth_unstable_by(limit - 1, |a, b| b.similarity.total_cmp(&a.similarity));
    let (best, others) = similar.split_at_mut(limit);
    best.iter_mut().for_each(&weigh);
    let least = best.iter().map(|one| one.similarity).fold(f32::INFINITY, f32::min);
    let mut kept = limit;
    for place in 0..others.len() {
        if others[place].similarity >= least {
            weigh(&mut others[place]);
            others.swap(kept - limit, place);
            kept += 1;
        }
    }
    similar.truncate(kept);
}

/// Keeps the first `limit` of the order, unsorted.
pub(super) fn cut(similar: &mut Vec<Similar>, limit: usize, order: impl Fn(&Similar, &Similar) -> std::cmp::Ordering) {
    if limit > 0 && similar.len() > limit {
        similar.select_nth_unstable_by(limit - 1, order);
    }
    similar.truncate(limit);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weighing_only_what_may_be_among_the_best_finds_the_best(
            sessions in proptest::collection::vec((0u8..30, 1u8..11), 0..200),
            limit in 0usize..40,
        ) {
            let factors: Vec<f32> = sessions.iter().map(|(_, factor)| f32::from(*factor) / 10.0).collect();
            let weigh = |similar: &mut Similar| similar.similarity *= factors[similar.session as usize];
            let all: Vec<Similar> = (0..).zip(&sessions).map(|(session, (similarity, _))| Similar {
                session,
                similarity: f32::from(*similarity),
                back: 0,
                last_at: 0,
            }).collect();
            let best = |mut weighed: Vec<Similar>| {
                let order = |a: &Similar, b: &Similar| b.similarity.total_cmp(&a.similarity).then(a.session.cmp(&b.session));
                cut(&mut weighed, limit, order);
                weighed.sort_unstable_by(order);
                weighed.iter().map(|one| one.session).collect::<Vec<_>>()
            };
            let mut expected = all.clone();
            expected.iter_mut().for_each(weigh);
            let mut found = all;
            weigh_best(&mut found, limit, weigh);
            prop_assert_eq!(best(found), best(expected));
        }
    }
}
