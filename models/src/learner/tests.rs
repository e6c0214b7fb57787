//! Tests of the learner as a whole: planted truths, whatever comes, and the way to disk and back.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::weights::PAGE_COUNT;
use super::*;
use crate::catalogue::Entry;
use crate::features::schema::{FEATURE_COUNT, NEUTRAL_ROW};
use crate::ids::UserId;
use crate::online::SplitMix;
use crate::params::LearnerParams;
use crate::pipeline::testing::{NOW, catalogue_of};
use crate::rank::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
use crate::recall::{Channel, ChannelSet};
use crate::session::SessionState;
use crate::world::World;

const LIKE: usize = Objective::Like.index();
const SKIP: usize = Objective::Skip.index();

/// A served item of that hash, with nothing special about it.
pub(super) fn row(hash: u64) -> ServedRow {
    static ROW: OnceLock<ServedRow> = OnceLock::new();
    let any = ROW.get_or_init(|| {
        let world = catalogue_of(1);
        let snapshot = world.catalogue.load();
        let entry = snapshot.entry(0).expect("an item");
        served(&ViewerKeys::default(), entry, &NEUTRAL_ROW, &[0.5; OBJECTIVE_COUNT], 0)
    });
    let mut row = any.clone();
    row.hash = hash;
    row
}

fn served(
    viewer: &ViewerKeys,
    entry: &Entry,
    features: &[f32; FEATURE_COUNT],
    predicted: &ObjectiveRow,
    position: usize,
) -> ServedRow {
    let ranked = RankedBy {
        features,
        pre_rank: 0.5,
        collaborative: 0.0,
        channels: ChannelSet::of(Channel::Hot),
        predicted,
    };
    ServedRow::new(viewer, entry, &ranked, position)
}

fn viewer(name: &str) -> ViewerKeys {
    ViewerKeys::of(&SessionState::new(UserId::new(name).expect("an id")), None, NOW)
}

/// What the model says of everything: likes are frequent, whoever made it.
const BOASTING: ObjectiveRow = [0.85, 0.6, 0.2, 0.15, 0.6];

/// Viewers like what the first author of the catalogue made and skip everything else.
fn planted(world: &World, outcomes: usize, seed: u64) -> Learner {
    let mut learner = Learner::new(LearnerParams {
        updates_min: 200,
        ..LearnerParams::default()
    });
    learner.serve_model("boaster");
    let snapshot = world.catalogue.load();
    let loved = snapshot.entry(0).expect("an item").author;
    let mut random = SplitMix::new(seed);
    for number in 0..outcomes {
        let entry = snapshot.entry((random.unit() * 30.0) as u32).expect("an item");
        let keys = viewer(&format!("u{}", number % 7));
        let (is_loved, luck) = (entry.author == loved, random.unit());
        let liked = if is_loved { luck < 0.9 } else { luck < 0.05 };
        let flag = |is: bool| Some(f32::from(u8::from(is)));
        learner.learn(&Sample {
            row: served(&keys, entry, &NEUTRAL_ROW, &BOASTING, number % 3),
            labels: [
                flag(liked),
                flag(liked),
                Some(0.0),
                flag(!liked),
                Some(if liked { 0.9 } else { 0.1 }),
            ],
        });
    }
    learner
}

/// What is served of each of the first items for a viewer the learner has never met.
fn corrected(world: &World, learner: &mut Learner, rows: &[u32]) -> Option<Vec<ObjectiveRow>> {
    let published = Arc::new(learner.publish()?);
    let snapshot = world.catalogue.load();
    let mut objectives = vec![BOASTING; rows.len()];
    let (channels, features) = (
        vec![ChannelSet::of(Channel::Hot); rows.len()],
        NEUTRAL_ROW.repeat(rows.len()),
    );
    let (pre_rank, collaborative) = (vec![0.5; rows.len()], vec![0.0; rows.len()]);
    let columns = Columns {
        rows,
        channels: &channels,
        features: &features,
        pre_rank: &pre_rank,
        collaborative: &collaborative,
    };
    correct(
        &published,
        &LearnerParams::default(),
        viewer("stranger"),
        &snapshot,
        columns,
        &mut objectives,
    )?;
    Some(objectives)
}

#[test]
fn a_planted_preference_is_learned_and_beats_the_model_clearly() {
    let world = catalogue_of(30);
    let snapshot = world.catalogue.load();
    let loved = snapshot.entry(0).expect("an item").author;
    let other = (0..30)
        .find(|row| snapshot.entry(*row).expect("an item").author != loved)
        .expect("another author");
    let mut learner = planted(&world, 600, 1);
    assert_eq!(learner.levels()[LIKE], Level::Corrected);
    let ([model, calibrated, corrected_loss], outcomes) = learner.losses(LIKE);
    assert_eq!(outcomes, 600);
    assert!(
        corrected_loss < 0.6 * model && corrected_loss < 0.9 * calibrated,
        "{model} {calibrated} {corrected_loss}"
    );
    let now = corrected(&world, &mut learner, &[0, other]).expect("it is active");
    assert!(
        now[0][LIKE] > 2.0 * now[1][LIKE] && now[0][SKIP] < now[1][SKIP],
        "{now:?}"
    );
    assert!(now[1][LIKE] < 0.4, "the model's boast is corrected: {now:?}");
}

#[test]
fn nothing_is_served_before_enough_was_learned_and_the_same_outcomes_give_the_same_weights() {
    let world = catalogue_of(30);
    let mut young = planted(&world, 150, 1);
    assert!(corrected(&world, &mut young, &[0, 1]).is_none());
    assert!(young.publish().is_none(), "nothing has changed since");
    let [mut one, mut other] = [planted(&world, 400, 5), planted(&world, 400, 5)];
    assert_eq!(one.header(), other.header());
    assert_eq!(one.take_pages(), other.take_pages());
}

#[test]
fn a_new_model_has_to_prove_anew_that_correcting_it_helps() {
    let world = catalogue_of(30);
    let mut learner = planted(&world, 600, 1);
    learner.serve_model("boaster");
    assert_eq!(learner.levels()[LIKE], Level::Corrected);
    learner.serve_model("modest");
    assert_eq!(learner.levels(), [Level::Model; OBJECTIVE_COUNT]);
    assert_eq!(learner.samples(), 600);
}

#[test]
fn a_learner_comes_back_from_its_records_as_it_was() {
    let world = catalogue_of(30);
    let mut learner = planted(&world, 600, 1);
    let pages = learner.take_pages();
    assert!(!pages.is_empty() && pages.len() < PAGE_COUNT && learner.take_pages().is_empty());
    let mut restored = Learner::new(learner.params);
    restored.restore(learner.header()).expect("sound");
    for (page, bytes) in &pages {
        restored.restore_page(*page, bytes).expect("sound");
    }
    assert_eq!(restored.header(), learner.header());
    let rows: Vec<u32> = (0..30).collect();
    let learned = corrected(&world, &mut learner, &rows).expect("active");
    assert_eq!(corrected(&world, &mut restored, &rows), Some(learned));
}

#[test]
fn damaged_records_are_refused() {
    let world = catalogue_of(30);
    let mut learner = planted(&world, 300, 1);
    let (page, bytes) = learner.take_pages().remove(0);
    let mut fresh = Learner::new(learner.params);
    assert!(fresh.restore_page(page, &bytes[1..]).is_err());
    assert!(fresh.restore_page(PAGE_COUNT as u16, &bytes).is_err());
    let mut wild = bytes.clone();
    wild[2..6].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        fresh.restore_page(page, &wild),
        Err(LearnerRecordError::Unsound("a page"))
    );
    assert!(fresh.restore_page(page, &bytes).is_ok());
}

#[test]
fn the_report_names_what_was_learned() {
    let world = catalogue_of(30);
    let learner = planted(&world, 600, 1);
    let report = learner.report(&world.catalogue.load(), 3);
    assert_eq!(
        (report.samples, report.dropped, report.model.as_str()),
        (600, 3, "boaster")
    );
    assert_eq!(report.objectives["like"].scored_by, Level::Corrected);
    let author = report
        .weights
        .iter()
        .find(|weight| weight.name == "author:cats-author-0");
    assert!(
        author.is_some_and(|weight| weight.weights["like"] > 0.3),
        "{:?}",
        report.weights
    );
}

proptest! {
    // Each case fills and restores two learners of full size.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_comes_every_number_stays_finite(
        outcomes in prop::collection::vec(
            (prop::array::uniform32(any::<f32>()), any::<ObjectiveRow>(), prop::array::uniform5(prop::option::of(-1.0_f32..2.0)), 0_u32..30),
            1..60,
        ),
        learning_rate in 1e-4_f32..10.0,
        l1 in 0.0_f32..100.0,
        l2 in 0.0_f32..1e4,
    ) {
        static WORLD: OnceLock<World> = OnceLock::new();
        let world = WORLD.get_or_init(|| catalogue_of(30));
        let snapshot = world.catalogue.load();
        let mut learner = Learner::new(LearnerParams { learning_rate, l1, l2, updates_min: 1, margin: 0.0, ..LearnerParams::default() });
        for (features, predicted, labels, item) in &outcomes {
            let entry = snapshot.entry(*item).expect("an item");
            let row = served(&viewer("u"), entry, features, predicted, *item as usize);
            learner.learn(&Sample { row, labels: *labels });
        }
        let mut restored = Learner::new(learner.params);
        prop_assert_eq!(restored.restore(learner.header()), Ok(()));
        for (page, bytes) in learner.take_pages() {
            prop_assert_eq!(restored.restore_page(page, &bytes), Ok(()));
        }
        if let Some(objectives) = corrected(world, &mut learner, &(0..30).collect::<Vec<_>>()) {
            prop_assert!(objectives.as_flattened().iter().all(|value| (0.0..=1.000_001).contains(value)));
        }
    }
}
