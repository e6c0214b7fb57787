//! Item embeddings learned from behaviour, with content standing in where there is too little of it.
//!
//! Owns the mixing. The factors are [`crate::baselines::ials`]'s. An item's vector is drawn towards what items with the
//! same words (author, categories, tags) have: with n events by k / (n + k); a new item's is all content. Pure and seeded.

use crate::baselines::ials::{IalsConfig, ItemFactors, train_ials_from};

/// With so many events an item's own factors and its content count the same.
const EVENTS_HALF: f32 = 10.0;
/// A word is believed by half with so many events of its items.
const WORD_EVENTS_HALF: f32 = 20.0;

/// What is trained on.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingSamples<'a> {
    /// (viewer, item, weight) of what was liked.
    pub rows: &'a [(u32, u32, f32)],
    /// The words of each item, as numbers; one entry per item.
    pub words: &'a [Vec<u32>],
}

/// Trains a unit vector per item; an item without events whose words nobody knows has an empty one. `earlier` says what
/// an earlier training gave, to go on from.
#[must_use]
pub fn train_embeddings<'e>(
    samples: &EmbeddingSamples<'_>,
    config: &IalsConfig,
    earlier: &dyn Fn(u32) -> Option<&'e [f32]>,
) -> Vec<Vec<f32>> {
    let item_count = samples.words.len();
    let factors = train_ials_from(samples.rows, item_count, config, earlier);
    let mut events = vec![0_u32; item_count];
    samples.rows.iter().for_each(|(_, item, _)| events[*item as usize] += 1);
    let own: Vec<Vec<f32>> = (0..item_count).map(|item| unit(&factors, item, events[item])).collect();
    let words = word_vectors(samples.words, &own, &events, config.dims);
    let mixed = own
        .iter()
        .zip(samples.words)
        .zip(&events)
        .map(|((own, item_words), events)| {
            let mut content = vec![0.0; config.dims];
            for word in item_words {
                add(&mut content, &words[*word as usize], 1.0);
            }
            normalise(&mut content);
            let events = *events as f32;
            let mut mixed = vec![0.0; config.dims];
            add(&mut mixed, own, events / (events + EVENTS_HALF));
            add(&mut mixed, &content, EVENTS_HALF / (events + EVENTS_HALF));
            if normalise(&mut mixed) { mixed } else { Vec::new() }
        });
    mixed.collect()
}

/// What the items with a word have in common, shorter than 1 where there is little of it.
fn word_vectors(words: &[Vec<u32>], own: &[Vec<f32>], events: &[u32], dims: usize) -> Vec<Vec<f32>> {
    let count = words.iter().flatten().map(|word| *word as usize + 1).max().unwrap_or(0);
    let mut sums = vec![(vec![0.0_f32; dims], 0.0_f32); count];
    for ((item_words, own), events) in words.iter().zip(own).zip(events) {
        // A hit among a word's items should not speak for all of them.
        let weight = (*events as f32).sqrt();
        for word in item_words {
            let (sum, total) = &mut sums[*word as usize];
            add(sum, own, weight);
            *total += weight;
        }
    }
    let vectors = sums.into_iter().map(|(mut sum, total)| {
        sum.iter_mut()
            .for_each(|entry| *entry /= total + WORD_EVENTS_HALF.sqrt());
        sum
    });
    vectors.collect()
}

fn unit(factors: &ItemFactors, item: usize, events: u32) -> Vec<f32> {
    let mut vector = match factors.vector(item as u32) {
        Some(vector) if events > 0 => vector.to_vec(),
        Some(_) | None => vec![0.0; factors.dims()],
    };
    normalise(&mut vector);
    vector
}

fn add(sum: &mut [f32], vector: &[f32], weight: f32) {
    sum.iter_mut()
        .zip(vector)
        .for_each(|(sum, entry)| *sum += weight * entry);
}

/// False when there is no direction in it.
fn normalise(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|entry| entry * entry).sum::<f32>().sqrt();
    if !length.is_finite() || length < 1e-12 {
        return false;
    }
    vector.iter_mut().for_each(|entry| *entry /= length);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: IalsConfig = IalsConfig {
        dims: 4,
        iterations: 12,
        regularisation: 0.01,
        unobserved: 0.1,
        frequency_exponent: 1.0,
        seed: 1,
        threads: 1,
    };

    /// Viewers below 10 like items 0..5 (word 0), the others items 5..10 (word 1); item 10 is new, with word 1, item 11
    /// is new without a word.
    fn trained(earlier: &[Vec<f32>], iterations: usize) -> Vec<Vec<f32>> {
        let rows: Vec<(u32, u32, f32)> = (0..20_u32)
            .flat_map(|user| (0..5_u32).map(move |n| (user, n + 5 * (user / 10), 1.0)))
            .filter(|(user, item, _)| user % 5 != item % 5)
            .collect();
        let mut words: Vec<Vec<u32>> = (0..10).map(|item| vec![item / 5]).collect();
        words.extend([vec![1], vec![]]);
        let samples = EmbeddingSamples {
            rows: &rows,
            words: &words,
        };
        let config = IalsConfig { iterations, ..CONFIG };
        train_embeddings(&samples, &config, &|item| earlier.get(item as usize).map(Vec::as_slice))
    }

    fn cosine(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn items_of_one_taste_lie_together_and_a_new_one_lies_with_its_words() {
        let vectors = trained(&[], 12);
        assert!(cosine(&vectors[0], &vectors[1]) > 0.8);
        assert!(cosine(&vectors[0], &vectors[6]) < 0.3);
        assert!(cosine(&vectors[10], &vectors[6]) > 0.8 && cosine(&vectors[10], &vectors[0]) < 0.3);
        assert!(vectors[11].is_empty(), "nothing is known of it");
        for vector in &vectors[..11] {
            assert!((cosine(vector, vector) - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn it_goes_on_from_an_earlier_training() {
        let earlier = trained(&[], 12);
        let (cold, warm) = (trained(&[], 1), trained(&earlier, 1));
        // One pass from the earlier vectors keeps their space; one pass from chance finds another.
        let kept = |now: &[Vec<f32>]| (0..10).map(|item| cosine(&now[item], &earlier[item])).sum::<f32>();
        assert!(
            kept(&warm) > 8.0 && kept(&warm) > kept(&cold),
            "{} {}",
            kept(&warm),
            kept(&cold)
        );
    }
}
