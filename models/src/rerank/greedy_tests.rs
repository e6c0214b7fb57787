//! The greedy filling of slots: windows of authors, exploration, and that nobody is lost.

use std::sync::Arc;

use proptest::prelude::*;

use super::{ExploreDraw, RerankInput, RerankScratch, select};
use crate::catalogue::{Catalogue, Change};
use crate::ids::Row;
use crate::params::RerankParams;
use crate::session::BehaviourEffects;
use crate::time::TimestampMs;
use crate::wire::ItemDto;

fn catalogue(authors: &[&str]) -> Catalogue {
    let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
    let change = |(number, author): (usize, &&str)| {
        let dto = ItemDto {
            id: format!("v{number}"),
            author_id: Some((*author).to_owned()),
            tags: Some(vec![format!("t{}", number % 7), format!("u{}", number % 3)]),
            ..ItemDto::default()
        };
        Change::Upsert {
            item: Arc::new(dto.into_item(TimestampMs(0)).expect("valid")),
            row: None,
        }
    };
    catalogue.apply_unrecorded(authors.iter().enumerate().map(change).collect());
    catalogue
}

fn order(authors: &[&str], fused: &[f32], params: RerankParams, draws: &[ExploreDraw]) -> Vec<usize> {
    let catalogue = catalogue(authors);
    let rows: Vec<Row> = (0..authors.len() as Row).collect();
    let snapshot = catalogue.load();
    let input = RerankInput {
        rows: &rows,
        fused,
        snapshot: &snapshot,
        params: &params,
        behaviour: &BehaviourEffects::default(),
        now: TimestampMs(0),
    };
    select(&input, rows.len(), draws, &mut [], &mut RerankScratch::default())
        .iter()
        .map(|pick| pick.place)
        .collect()
}

fn only_authors(penalty: f32, window: u32) -> RerankParams {
    RerankParams {
        freshness_weight: 0.0,
        author_penalty: penalty,
        author_window: window,
        category_penalty: 0.0,
        similarity_penalty: 0.0,
        ..RerankParams::default()
    }
}

#[test]
fn an_author_waits_until_the_window_has_passed() {
    let fused = [1.0, 0.9, 0.5, 0.4];
    assert_eq!(
        order(&["a", "a", "b", "c"], &fused, only_authors(1.0, 2), &[]),
        [0, 2, 3, 1]
    );
    assert_eq!(
        order(&["a", "a", "b", "c"], &fused, only_authors(0.0, 2), &[]),
        [0, 1, 2, 3]
    );
}

#[test]
fn exploration_takes_its_slot() {
    let draws = [ExploreDraw {
        slot: 1,
        place: 3,
        propensity: 0.25,
    }];
    assert_eq!(
        order(
            &["a", "b", "c", "d"],
            &[1.0, 0.9, 0.5, 0.1],
            only_authors(0.0, 0),
            &draws
        ),
        [0, 3, 1, 2]
    );
}

proptest! {
    #[test]
    fn every_candidate_is_picked_once_whatever_the_scores(
        fused in proptest::collection::vec(prop_oneof![Just(f32::NAN), Just(f32::MIN), -1.0f32..1.0], 1..20),
        window in 0u32..6,
    ) {
        let authors: Vec<&str> = (0..fused.len()).map(|number| ["a", "b", "c"][number % 3]).collect();
        let params = RerankParams { author_window: window, similarity_window: window, ..RerankParams::default() };
        let mut places = order(&authors, &fused, params, &[]);
        places.sort_unstable();
        prop_assert!(places.into_iter().eq(0..fused.len()));
    }

    #[test]
    fn asking_for_likeness_late_picks_as_asking_always(
        fused in proptest::collection::vec((0u8..20).prop_map(|score| f32::from(score) / 10.0), 1..24),
        window in 1u32..6,
        penalty in 0.0f32..1.0,
    ) {
        let authors = vec!["a"; fused.len()];
        let params = RerankParams {
            similarity_penalty: penalty,
            similarity_window: window,
            ..only_authors(0.0, 0)
        };
        let catalogue = catalogue(&authors);
        let snapshot = catalogue.load();
        let cosine = |a: usize, b: usize| {
            let vector = |place: usize| snapshot.vector(place as Row).expect("content gives every item a vector");
            crate::index::dot_f32(vector(a), vector(b))
        };
        let mut expected: Vec<usize> = Vec::new();
        while expected.len() < fused.len() {
            let recent = &expected[expected.len().saturating_sub(window as usize)..];
            let score = |place: usize| {
                let most = recent.iter().map(|pick| cosine(*pick, place)).fold(0.0, f32::max);
                fused[place] - penalty * most
            };
            let left = (0..fused.len()).filter(|place| !expected.contains(place));
            let best = left.max_by(|a, b| score(*a).total_cmp(&score(*b)).then(b.cmp(a)));
            expected.push(best.expect("somebody is left"));
        }
        prop_assert_eq!(order(&authors, &fused, params, &[]), expected);
    }
}
