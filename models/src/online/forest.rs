//! Gradient-boosted trees for one probability, by histograms (Friedman 2001; leaf-wise growth as in LightGBM).
//!
//! Owns the trees, their training and scoring. Leaves are bounded by curvature, not by rows, so one set of defaults fits
//! rare and frequent labels. Training is a plain function of rows: the caller decides when and on which thread.

use serde::{Deserialize, Serialize};

use super::binner::{BINS_MAX, Binner};
use super::random::SplitMix;
use super::replay::Replay;
use crate::streaming::sigmoid;

/// How a forest is grown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ForestParams {
    /// Trees.
    pub trees: usize,
    /// Leaves per tree.
    pub leaves_max: usize,
    /// Shrinkage of every tree.
    pub learning_rate: f32,
    /// Least curvature (sum of p(1-p)) of a leaf.
    pub leaf_curvature_min: f32,
    /// Curvature of belief in 0 added to every leaf.
    pub penalty: f32,
    /// Share of columns offered to a tree.
    pub column_share: f32,
    /// Share of rows used by a tree.
    pub row_share: f32,
}

impl Default for ForestParams {
    fn default() -> Self {
        Self {
            trees: 150,
            leaves_max: 12,
            learning_rate: 0.05,
            leaf_curvature_min: 10.0,
            penalty: 10.0,
            column_share: 0.25,
            row_share: 0.6,
        }
    }
}

/// Trees that add up to log-odds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    base: f32,
    trees: Vec<Vec<Node>>,
}

/// A split, or a leaf when `left` is 0 (the root is nobody's child).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Node {
    threshold: f32,
    column: u16,
    left: u16,
    right: u16,
    value: f32,
}

/// Rows in bins, column by column.
pub struct BinnedRows {
    columns: Vec<Vec<u8>>,
    binner: Binner,
    rows: usize,
}

impl BinnedRows {
    /// Cuts the rows of a log into at most so many bins per column.
    #[must_use]
    pub fn new(replay: &Replay, bins: usize) -> Self {
        let binner = Binner::fit(replay.columns(), bins, |column| replay.column(column));
        let cut = |column: usize| replay.column(column).map(|value| binner.bin(column, value)).collect();
        Self {
            columns: (0..replay.columns()).map(cut).collect(),
            rows: replay.len(),
            binner,
        }
    }
}

impl Forest {
    /// The log-odds of a row; missing goes left.
    #[must_use]
    pub fn log_odds(&self, row: &[f32]) -> f32 {
        self.base
            + self
                .trees
                .iter()
                .map(|tree| tree[leaf_of(tree, row)].value)
                .sum::<f32>()
    }

    /// Grows a forest; the same rows and seed give the same forest.
    #[must_use]
    pub fn train(rows: &BinnedRows, labels: &[bool], params: &ForestParams, seed: u64) -> Self {
        let positives = labels.iter().filter(|&&label| label).count() as f32;
        let share = (positives + 0.5) / (labels.len() as f32 + 1.0);
        let base = (share / (1.0 - share)).ln();
        let mut grower = Grower::new(rows, labels, params, base);
        let mut random = SplitMix::new(seed);
        let trees = (0..params.trees).map(|_| grower.grow(&mut random)).collect();
        Self { base, trees }
    }
}

fn leaf_of(tree: &[Node], row: &[f32]) -> usize {
    let mut index = 0;
    while tree[index].left != 0 {
        let node = &tree[index];
        let value = row[usize::from(node.column)];
        index = usize::from(if value > node.threshold { node.right } else { node.left });
    }
    index
}

/// Gradient and curvature in a bin.
type Bin = [f32; 2];

struct Leaf {
    node: usize,
    rows: Vec<u32>,
    histogram: Vec<Bin>,
    sum: Bin,
    best: Option<Split>,
}

#[derive(Clone, Copy)]
struct Split {
    gain: f32,
    /// Index among the tree's columns.
    offered: usize,
    bin: u8,
}

struct Grower<'a> {
    rows: &'a BinnedRows,
    labels: &'a [bool],
    params: &'a ForestParams,
    log_odds: Vec<f32>,
    gradients: Vec<Bin>,
}

impl<'a> Grower<'a> {
    fn new(rows: &'a BinnedRows, labels: &'a [bool], params: &'a ForestParams, base: f32) -> Self {
        Self {
            rows,
            labels,
            params,
            log_odds: vec![base; rows.rows],
            gradients: vec![[0.0; 2]; rows.rows],
        }
    }

    fn grow(&mut self, random: &mut SplitMix) -> Vec<Node> {
        for (row, gradient) in self.gradients.iter_mut().enumerate() {
            let probability = sigmoid(self.log_odds[row]);
            *gradient = [
                f32::from(u8::from(self.labels[row])) - probability,
                probability * (1.0 - probability),
            ];
        }
        let used: Vec<u32> = (0..self.rows.rows as u32)
            .filter(|_| random.unit() < self.params.row_share)
            .collect();
        let columns = random.subset(self.rows.columns.len(), self.params.column_share);
        let mut tree = vec![Node::default()];
        let mut leaves = vec![self.leaf(0, used, &columns)];
        while leaves.len() < self.params.leaves_max {
            let gain = |leaf: &Leaf| leaf.best.map_or(0.0, |best| best.gain);
            let Some(index) = (0..leaves.len()).max_by(|&a, &b| gain(&leaves[a]).total_cmp(&gain(&leaves[b]))) else {
                break;
            };
            let Some(split) = leaves[index].best else { break };
            let leaf = leaves.swap_remove(index);
            leaves.extend(self.split(leaf, split, &columns, &mut tree));
        }
        for leaf in &leaves {
            tree[leaf.node].value = self.params.learning_rate * leaf.sum[0] / (leaf.sum[1] + self.params.penalty);
        }
        self.advance(&tree);
        tree
    }

    /// All rows, also those not used, move by the tree.
    fn advance(&mut self, tree: &[Node]) {
        let bin = |node: &Node| {
            // A split that parts only the missing has no finite threshold; its bin is 0.
            if node.threshold == f32::NEG_INFINITY {
                0
            } else {
                self.rows.binner.bin(usize::from(node.column), node.threshold)
            }
        };
        let bins: Vec<u8> = tree.iter().map(bin).collect();
        for (row, log_odds) in self.log_odds.iter_mut().enumerate() {
            let mut index = 0;
            while tree[index].left != 0 {
                let node = &tree[index];
                let goes_right = self.rows.columns[usize::from(node.column)][row] > bins[index];
                index = usize::from(if goes_right { node.right } else { node.left });
            }
            *log_odds += tree[index].value;
        }
    }

    fn leaf(&self, node: usize, rows: Vec<u32>, columns: &[usize]) -> Leaf {
        let mut histogram = vec![[0.0; 2]; columns.len() * BINS_MAX];
        let gathered: Vec<Bin> = rows.iter().map(|&row| self.gradients[row as usize]).collect();
        for (offered, &column) in columns.iter().enumerate() {
            let bins = &self.rows.columns[column];
            let cells = &mut histogram[offered * BINS_MAX..(offered + 1) * BINS_MAX];
            for (&row, gradient) in rows.iter().zip(&gathered) {
                let cell = &mut cells[usize::from(bins[row as usize]) & (BINS_MAX - 1)];
                cell[0] += gradient[0];
                cell[1] += gradient[1];
            }
        }
        let sum = gathered
            .iter()
            .fold([0.0; 2], |sum, gradient| [sum[0] + gradient[0], sum[1] + gradient[1]]);
        self.finish(Leaf {
            node,
            rows,
            histogram,
            sum,
            best: None,
        })
    }

    fn finish(&self, mut leaf: Leaf) -> Leaf {
        leaf.best = self.best_split(&leaf);
        leaf
    }

    fn best_split(&self, leaf: &Leaf) -> Option<Split> {
        let score = |bin: Bin| bin[0] * bin[0] / (bin[1] + self.params.penalty);
        let (whole, least) = (score(leaf.sum), self.params.leaf_curvature_min);
        let mut best: Option<Split> = None;
        if leaf.sum[1] < 2.0 * least {
            return None;
        }
        for (offered, cells) in leaf.histogram.chunks_exact(BINS_MAX).enumerate() {
            let mut left = [0.0; 2];
            for (bin, cell) in cells.iter().enumerate().take(BINS_MAX - 1) {
                left = [left[0] + cell[0], left[1] + cell[1]];
                let right = [leaf.sum[0] - left[0], leaf.sum[1] - left[1]];
                if left[1] < least {
                    continue;
                }
                if right[1] < least {
                    break;
                }
                let gain = score(left) + score(right) - whole;
                if gain > best.map_or(1e-6, |best| best.gain) {
                    best = Some(Split {
                        gain,
                        offered,
                        bin: bin as u8,
                    });
                }
            }
        }
        best
    }

    /// Builds the smaller child's histogram; the other's is the difference.
    fn split(&self, leaf: Leaf, split: Split, columns: &[usize], tree: &mut Vec<Node>) -> [Leaf; 2] {
        let column = columns[split.offered];
        let bins = &self.rows.columns[column];
        let (left, right): (Vec<u32>, Vec<u32>) = leaf.rows.iter().partition(|&&row| bins[row as usize] <= split.bin);
        let (left_node, right_node) = (tree.len(), tree.len() + 1);
        tree.extend([Node::default(); 2]);
        tree[leaf.node] = Node {
            threshold: self.rows.binner.upper(column, usize::from(split.bin)),
            column: column as u16,
            left: left_node as u16,
            right: right_node as u16,
            value: 0.0,
        };
        let left_is_small = left.len() <= right.len();
        let (small_node, small_rows, large_node, large_rows) = if left_is_small {
            (left_node, left, right_node, right)
        } else {
            (right_node, right, left_node, left)
        };
        let small = self.leaf(small_node, small_rows, columns);
        let mut histogram = leaf.histogram;
        for (cell, taken) in histogram.iter_mut().zip(&small.histogram) {
            *cell = [cell[0] - taken[0], cell[1] - taken[1]];
        }
        let sum = [leaf.sum[0] - small.sum[0], leaf.sum[1] - small.sum[1]];
        let large = self.finish(Leaf {
            node: large_node,
            rows: large_rows,
            histogram,
            sum,
            best: None,
        });
        [small, large]
    }
}

#[cfg(test)]
#[path = "forest_tests.rs"]
mod tests;
