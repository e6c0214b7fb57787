//! From text to words.
//!
//! Owns what a word is: a run of letters and digits in lower case; scripts that are written without spaces (Chinese,
//! Japanese, ...) give pairs of neighbouring characters. Words are known by their hash. Must not know tags.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

/// The most words of a text that count, the first ones.
pub const TOKENS_OF_TEXT_MAX: usize = 128;
/// A shorter word says nothing.
const WORD_BYTES_MIN: usize = 2;
/// From here on scripts are written without spaces between words, for the most part.
const FIRST_IDEOGRAPH: char = '\u{2E80}';

/// The words of texts, by hash, with how often each occurs.
pub fn tokens<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(u64, u32)> {
    let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
    let mut left = TOKENS_OF_TEXT_MAX;
    let mut word = String::new();
    for text in texts {
        let mut before: Option<char> = None;
        for symbol in text.chars().chain([' ']) {
            if symbol >= FIRST_IDEOGRAPH && symbol.is_alphanumeric() {
                take(&mut word, &mut left, &mut counts);
                if let Some(first) = before.replace(symbol) {
                    word.extend([first, symbol]);
                    take(&mut word, &mut left, &mut counts);
                }
                continue;
            }
            before = None;
            if symbol.is_alphanumeric() {
                word.extend(symbol.to_lowercase());
            } else {
                take(&mut word, &mut left, &mut counts);
            }
        }
    }
    let mut counts: Vec<(u64, u32)> = counts.into_iter().collect();
    // The order of a hash map would make sums differ in their last bits.
    counts.sort_unstable();
    counts
}

fn take(word: &mut String, left: &mut usize, counts: &mut FxHashMap<u64, u32>) {
    if word.len() >= WORD_BYTES_MIN && *left > 0 {
        *left -= 1;
        *counts.entry(xxh3_64(word.as_bytes())).or_default() += 1;
    }
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(u64, u32)> {
        tokens([text].into_iter())
    }

    fn expected(words: &[(&str, u32)]) -> Vec<(u64, u32)> {
        let mut words: Vec<(u64, u32)> = words
            .iter()
            .map(|(word, count)| (xxh3_64(word.as_bytes()), *count))
            .collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(
            of("Zoë's 10 cats, CATS!"),
            expected(&[("zoë", 1), ("10", 1), ("cats", 2)])
        );
        assert_eq!(of("a - b"), expected(&[]));
        assert_eq!(
            tokens(["one two", "two three"].into_iter()),
            expected(&[("one", 1), ("two", 2), ("three", 1)])
        );
    }

    #[test]
    fn scripts_without_spaces_give_pairs() {
        assert_eq!(
            of("做菜教程 vlog"),
            expected(&[("做菜", 1), ("菜教", 1), ("教程", 1), ("vlog", 1)])
        );
    }

    #[test]
    fn a_long_text_is_cut_off() {
        let text: String = (0..1_000).map(|number| format!("word{number} ")).collect();
        assert_eq!(of(&text).len(), TOKENS_OF_TEXT_MAX);
    }
}
