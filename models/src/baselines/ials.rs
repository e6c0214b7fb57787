//! Implicit ALS: item factors from behaviour, and user vectors by fold-in.
//!
//! Source: Hu, Koren, Volinsky 2008 with the frequency-scaled regularisation of Rendle et al., "Revisiting the performance
//! of iALS on item recommendation benchmarks", RecSys 2022: minimise sum_obs w (1 - u'v)^2 + a0 sum_all (u'v)^2 +
//! lambda sum (n + a0 N)^nu |.|^2. Owns training on several threads (the result does not depend on their number).

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The settings of [`train_ials`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IalsConfig {
    /// Entries of a vector.
    pub dims: usize,
    /// Passes over users and items.
    pub iterations: usize,
    /// Weight of the norm (lambda).
    pub regularisation: f32,
    /// Weight of a pair that was not seen (a0).
    pub unobserved: f32,
    /// Exponent of the frequency in the regularisation (nu).
    pub frequency_exponent: f32,
    /// Seed of the first factors.
    pub seed: u64,
    /// How many threads train.
    pub threads: usize,
}

impl Default for IalsConfig {
    fn default() -> Self {
        Self {
            dims: 64,
            iterations: 12,
            regularisation: 0.01,
            unobserved: 0.1,
            frequency_exponent: 1.0,
            seed: 1,
            threads: 1,
        }
    }
}

/// Trained item factors.
#[derive(Debug, Clone)]
pub struct ItemFactors {
    config: IalsConfig,
    /// `items` x `dims`, row-major.
    factors: Vec<f32>,
    /// a0 V'V, `dims` x `dims`.
    gram: Vec<f32>,
}

/// What fold-in needs besides the model; reused between calls.
#[derive(Debug, Clone, Default)]
pub struct FoldIn {
    system: Vec<f32>,
    vector: Vec<f32>,
}

/// Trains on `(user, item, weight)` for a catalogue of `item_count` items.
#[must_use]
pub fn train_ials(rows: &[(u32, u32, f32)], item_count: usize, config: &IalsConfig) -> ItemFactors {
    train_ials_from(rows, item_count, config, &|_| None)
}

/// The same from earlier vectors: items that `earlier` knows (with as many entries) begin there, the others by chance.
#[must_use]
pub fn train_ials_from<'e>(
    rows: &[(u32, u32, f32)],
    item_count: usize,
    config: &IalsConfig,
    earlier: &dyn Fn(u32) -> Option<&'e [f32]>,
) -> ItemFactors {
    let user_count = rows.iter().map(|(user, ..)| *user as usize + 1).max().unwrap_or(0);
    let items_of = group(
        user_count,
        rows.iter().map(|(user, item, weight)| (*user, *item, *weight)),
    );
    let users_of = group(
        item_count,
        rows.iter().map(|(user, item, weight)| (*item, *user, *weight)),
    );
    let mut random = Xoshiro256PlusPlus::seed_from_u64(config.seed);
    let spread = 0.1 / (config.dims as f32).sqrt();
    let mut draw = |count: usize| -> Vec<f32> {
        let entries = (0..count * config.dims).map(|_| random.random_range(-spread..spread) * 1.732);
        entries.collect()
    };
    let mut model = ItemFactors {
        config: *config,
        factors: draw(item_count),
        gram: Vec::new(),
    };
    let mut users = ItemFactors {
        config: *config,
        factors: vec![0.0; user_count * config.dims],
        gram: Vec::new(),
    };
    for (item, vector) in (0..).zip(model.factors.chunks_exact_mut(config.dims)) {
        if let Some(known) = earlier(item).filter(|known| known.len() == config.dims) {
            vector.copy_from_slice(known);
        }
    }
    for _ in 0..config.iterations {
        model.refresh_gram();
        model.solve_all(&items_of, &mut users.factors);
        users.refresh_gram();
        users.solve_all(&users_of, &mut model.factors);
    }
    model.refresh_gram();
    model
}

impl ItemFactors {
    /// Entries of a vector.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.config.dims
    }

    /// The vector of an item; `None` for an item the model does not know.
    #[must_use]
    pub fn vector(&self, item: u32) -> Option<&[f32]> {
        let start = item as usize * self.config.dims;
        self.factors.get(start..start + self.config.dims)
    }

    /// The vector of a user with these items and weights, in closed form; stands in `fold_in` until the next call.
    pub fn fold_in<'a>(&self, context: impl Iterator<Item = (u32, f32)>, fold_in: &'a mut FoldIn) -> &'a [f32] {
        self.solve(context, fold_in);
        &fold_in.vector
    }

    /// Adds the scores of a user vector to `scores` (one entry per item).
    pub fn scores_into(&self, user: &[f32], scores: &mut [f32]) {
        for (score, item) in scores.iter_mut().zip(self.factors.chunks_exact(self.config.dims)) {
            *score += dot(user, item);
        }
    }

    fn rows(&self) -> usize {
        self.factors.len() / self.config.dims.max(1)
    }

    fn refresh_gram(&mut self) {
        let dims = self.config.dims;
        let factors = ndarray::ArrayView2::from_shape((self.rows(), dims), &self.factors);
        // The length is a multiple of `dims` by construction.
        self.gram = factors.map_or_else(
            |_| vec![0.0; dims * dims],
            |factors| {
                (factors.t().dot(&factors) * self.config.unobserved)
                    .into_raw_vec_and_offset()
                    .0
            },
        );
    }

    /// Solves the other side's vectors, each thread a part of them.
    fn solve_all(&self, neighbours: &[Vec<(u32, f32)>], other: &mut [f32]) {
        let dims = self.config.dims;
        let per_thread = neighbours.len().div_ceil(self.config.threads.max(1)).max(1);
        std::thread::scope(|scope| {
            for (rows, vectors) in neighbours.chunks(per_thread).zip(other.chunks_mut(per_thread * dims)) {
                scope.spawn(move || {
                    let mut scratch = FoldIn::default();
                    for (row, vector) in rows.iter().zip(vectors.chunks_exact_mut(dims)) {
                        self.solve(row.iter().copied(), &mut scratch);
                        vector.copy_from_slice(&scratch.vector);
                    }
                });
            }
        });
    }

    fn solve(&self, context: impl Iterator<Item = (u32, f32)>, scratch: &mut FoldIn) {
        let dims = self.config.dims;
        scratch.system.clear();
        scratch.system.extend_from_slice(&self.gram);
        scratch.vector.clear();
        scratch.vector.resize(dims, 0.0);
        let mut observed = 0.0;
        for (item, weight) in context {
            let Some(vector) = self.vector(item) else { continue };
            observed += weight;
            for (row, entry) in vector.iter().enumerate() {
                let factor = weight * entry;
                scratch.vector[row] += factor;
                // The lower triangle is all that the solver reads.
                let target = &mut scratch.system[row * dims..row * dims + row + 1];
                target
                    .iter_mut()
                    .zip(vector)
                    .for_each(|(sum, other)| *sum += factor * other);
            }
        }
        let frequency = observed + self.config.unobserved * self.rows() as f32;
        let ridge = self.config.regularisation * frequency.powf(self.config.frequency_exponent);
        (0..dims).for_each(|row| scratch.system[row * dims + row] += ridge);
        solve_positive_definite(&mut scratch.system, &mut scratch.vector);
    }
}

fn group(count: usize, rows: impl Iterator<Item = (u32, u32, f32)>) -> Vec<Vec<(u32, f32)>> {
    let mut groups = vec![Vec::new(); count];
    rows.for_each(|(key, other, weight)| groups[key as usize].push((other, weight)));
    groups
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    // Four sums instead of one let the compiler use vector registers.
    let mut sums = [0.0_f32; 8];
    let (left_blocks, right_blocks) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest = left_blocks.remainder().iter().zip(right_blocks.remainder());
    let rest: f32 = rest.map(|(left, right)| left * right).sum();
    for (left, right) in left_blocks.zip(right_blocks) {
        for lane in 0..8 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Solves A x = b by Cholesky; `system` holds the lower triangle of A and is used up, `vector` becomes x. A pivot that is
/// not positive becomes a tiny one: the vector stays finite.
fn solve_positive_definite(system: &mut [f32], vector: &mut [f32]) {
    let dims = vector.len();
    for row in 0..dims {
        let (above, from_row) = system.split_at_mut(row * dims);
        let current = &mut from_row[..dims];
        for column in 0..row {
            let other = &above[column * dims..column * dims + dims];
            let sum = dot(&current[..column], &other[..column]);
            current[column] = (current[column] - sum) / other[column];
        }
        let square = dot(&current[..row], &current[..row]);
        current[row] = (current[row] - square).max(1e-9).sqrt();
        vector[row] = (vector[row] - dot(&current[..row], &vector[..row])) / current[row];
    }
    for row in (0..dims).rev() {
        vector[row] /= system[row * dims + row];
        let solved = vector[row];
        let left = &system[row * dims..row * dims + row];
        vector[..row]
            .iter_mut()
            .zip(left)
            .for_each(|(entry, factor)| *entry -= factor * solved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_tastes() -> Vec<(u32, u32, f32)> {
        // Users below 10 take items 0..5, the others items 5..10, each leaving one out.
        (0..20_u32)
            .flat_map(|user| (0..5_u32).map(move |n| (user, n + 5 * (user / 10))))
            .filter(|(user, item)| user % 5 != item % 5)
            .map(|(user, item)| (user, item, 1.0))
            .collect()
    }

    #[test]
    fn a_linear_system_is_solved() {
        let mut system = vec![4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 1.0, 3.0, 6.0];
        let mut vector = vec![11.0, 21.0, 25.0];
        solve_positive_definite(&mut system, &mut vector);
        for (entry, expected) in vector.iter().zip([1.0, 2.0, 3.0]) {
            assert!((entry - expected).abs() < 1e-4, "{vector:?}");
        }
    }

    #[test]
    fn a_folded_in_user_gets_the_rest_of_the_taste() {
        let config = IalsConfig {
            dims: 4,
            ..IalsConfig::default()
        };
        let model = train_ials(&two_tastes(), 10, &config);
        let mut fold_in = FoldIn::default();
        let user = model.fold_in([(0, 1.0), (1, 1.0)].into_iter(), &mut fold_in).to_vec();
        let mut scores = vec![0.0; 10];
        model.scores_into(&user, &mut scores);
        let worst_own = scores[..5].iter().copied().fold(f32::MAX, f32::min);
        let best_other = scores[5..].iter().copied().fold(f32::MIN, f32::max);
        assert!(worst_own > best_other + 0.1, "{scores:?}");
    }

    #[test]
    fn threads_change_nothing() {
        let config = IalsConfig {
            dims: 5,
            ..IalsConfig::default()
        };
        let one = train_ials(&two_tastes(), 10, &config);
        let three = train_ials(&two_tastes(), 10, &IalsConfig { threads: 3, ..config });
        assert_eq!(one.factors, three.factors);
    }
}
