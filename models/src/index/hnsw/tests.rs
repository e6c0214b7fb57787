//! The graph against brute force, its changes, and what it cannot reach.

use super::super::testing::{self, admit_all};
use super::super::{ExactIndexWriter, normalise};
use super::*;

fn build(data: &[Vec<f32>]) -> HnswIndex {
    HnswIndex::build(testing::exact(data), HnswParams::default(), BuildThreads::One).expect("settings in range")
}

fn nearest(index: &HnswIndex, query: &[f32], k: usize) -> Vec<u32> {
    let (mut scratch, mut out) = Default::default();
    index.search(query, k, &mut admit_all, &mut scratch, &mut out);
    out.iter().map(|found| found.row).collect()
}

#[test]
fn recall_filters_and_self_search_on_clustered_data() {
    let data = testing::clustered(5_000, 32, 40, 0.6, 19);
    let index =
        HnswIndex::build(testing::exact(&data), HnswParams::default(), BuildThreads::All).expect("settings in range");
    let recall = testing::recall(&index, &data, 100, 30, &|_| true);
    assert!(recall >= 0.95, "recall {recall}");

    let excluded = testing::brute_force(&data, &data[42], 1_000, &|_| true);
    assert_eq!(
        testing::recall_of(&index, &data, &data[42], 100, &|row| !excluded.contains(&row)),
        1.0
    );
    assert_eq!(testing::recall(&index, &data, 40, 5, &|row| row % 100 == 17), 1.0);

    for row in (0..data.len()).step_by(7) {
        assert_eq!(nearest(&index, &data[row], 1), [row as u32]);
    }
}

#[test]
fn a_query_without_a_direction_finds_nothing() {
    let data = testing::clustered(1_000, 8, 10, 0.6, 23);
    let index = build(&data);
    for query in [[0.0; 8], [f32::NAN; 8], [f32::INFINITY; 8]] {
        assert!(nearest(&index, &query, 5).is_empty());
    }
    assert!(nearest(&index, &[1.0; 3], 5).is_empty());
    assert!(nearest(&index, &data[0], 0).is_empty());
}

#[test]
fn removed_updated_and_new_rows_are_right_at_once_and_a_rebuild_buries_the_tombstones() {
    let mut data = testing::clustered(1_500, 16, 15, 0.6, 29);
    let index = build(&data);
    let mut writer = ExactIndexWriter::from(ExactIndex::clone(&index.rows()));
    for row in 0..400 {
        assert!(writer.remove(row));
    }
    for (row, vector) in data.iter_mut().enumerate().take(500).skip(400) {
        vector.iter_mut().for_each(|component| *component = -*component);
        writer.upsert(row as u32, vector).expect("a valid vector");
    }
    let mut added = vec![0.0; 16];
    normalise(&[0.3; 16], &mut added).expect("a direction");
    writer.upsert(1_500, &added).expect("a valid vector");
    data.push(added);

    assert_eq!(index.advance(writer.publish()).expect("the same dimension"), 101);
    assert_eq!((index.len(), index.tombstones()), (1_101, 500));
    let live = |row: u32| row >= 400;
    for row in [400, 450, 499, 700, 1_500_usize] {
        assert_eq!(nearest(&index, &data[row], 1), [row as u32]);
        assert!(testing::recall_of(&index, &data, &data[row], 100, &live) >= 0.95);
    }
    assert_eq!(nearest(&index, &data[0], 2_000).len(), 1_101);

    assert!(index.needs_rebuild());
    let rebuilt = index.rebuild(BuildThreads::One).expect("settings in range");
    assert_eq!(
        (rebuilt.len(), rebuilt.tombstones(), rebuilt.needs_rebuild()),
        (1_101, 0, false)
    );
    assert_eq!(nearest(&rebuilt, &data[450], 1), [450]);
    writer.remove(450);
    rebuilt.advance(writer.publish()).expect("the same dimension");
    assert_ne!(nearest(&rebuilt, &data[450], 1), [450]);
}

#[test]
fn a_row_that_the_graph_does_not_hold_is_found_when_listed_as_stranded() {
    let data = testing::clustered(1_200, 16, 10, 0.6, 31);
    let index = build(&data);
    // The row gets a number that no point has, as if every link to its point had been cut.
    let mut state = GraphState::clone(&index.state.load());
    state.set_number(77, u32::MAX);
    state.stranded = index.find_stranded(&state, &(0..1_200).collect::<Vec<u32>>());
    assert_eq!(state.stranded, [77]);
    index.state.store(Arc::new(state));
    assert_eq!(
        nearest(&index, &data[77], 3),
        testing::brute_force(&data, &data[77], 3, &|_| true)
    );
    assert_eq!(index.stranded(), 1);
}

#[test]
fn a_crowd_of_equal_vectors_is_served() {
    let mut data = vec![vec![0.6, 0.8, 0.0]; 2_000];
    data.extend(testing::clustered(500, 3, 10, 0.6, 37));
    let index = build(&data);
    let (mut scratch, mut out) = Default::default();
    index.search(&data[0], 100, &mut |row| row % 2 == 1, &mut scratch, &mut out);
    assert_eq!(out.len(), 100);
    assert!(out.iter().all(|found| found.score > 0.999 && found.row % 2 == 1));
    assert_eq!(
        nearest(&index, &data[2_222], 1),
        testing::brute_force(&data, &data[2_222], 1, &|_| true)
    );
}

#[test]
fn an_empty_graph_grows() {
    let empty = Arc::new(ExactIndex::new(4).expect("a supported dimension"));
    let index = HnswIndex::build(empty, HnswParams::default(), BuildThreads::One).expect("settings in range");
    assert!(nearest(&index, &[1.0; 4], 3).is_empty());
    let data = testing::clustered(700, 4, 5, 0.6, 41);
    assert_eq!(index.advance(testing::exact(&data)).expect("the same dimension"), 700);
    assert_eq!(nearest(&index, &data[9], 1), [9]);
    let other = Arc::new(ExactIndex::new(5).expect("a supported dimension"));
    assert_eq!(
        index.advance(other),
        Err(HnswError::WrongDimension { expected: 4, found: 5 })
    );
}

#[test]
fn readers_go_on_while_rows_are_inserted() {
    let data = testing::clustered(1_000, 8, 10, 0.6, 43);
    let index = build(&data[..700]);
    let whole = testing::exact(&data);
    std::thread::scope(|scope| {
        let inserting = scope.spawn(|| index.advance(Arc::clone(&whole)));
        while !inserting.is_finished() {
            let found = nearest(&index, &data[3], 50);
            assert_eq!((found.len(), found[0]), (50, 3));
        }
    });
    assert_eq!(index.len(), 1_000);
    assert_eq!(nearest(&index, &data[999], 1), [999]);
}
