//! The stored form of a slot, version 1: rows of numbers, and the names that they stand for.
//!
//! Each slot says up to which journal number it holds every event, so that slots may be written one by one and a journal
//! that is read again adds to each only what it lacks.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::key::CellKey;
use super::names::{Code, NO_NAME, Names, OTHER_NAME};
use super::question::Vocabulary;
use super::slot::Slot;
use crate::recall::ChannelSet;

/// A slot as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredSlot {
    number: i64,
    sequence: u64,
    categories: StoredNames,
    variants: StoredNames,
    regions: StoredNames,
    cells: Vec<(ChannelSet, Code, Code, Code, u8, Counts)>,
}

/// Names by the codes of one stored slot.
type StoredNames = Vec<(Code, String)>;

impl StoredSlot {
    /// The stored form of a slot that holds every event up to a journal number.
    #[must_use]
    pub fn of(slot: &Slot, sequence: u64, names: &Vocabulary<'_>) -> Self {
        let cell = |(key, counts): (&CellKey, &Counts)| {
            (
                key.channels,
                key.category,
                key.variant,
                key.region,
                key.position,
                *counts,
            )
        };
        Self {
            number: slot.number,
            sequence,
            categories: used(slot, names.categories, |key| key.category),
            variants: used(slot, names.variants, |key| key.variant),
            regions: used(slot, names.regions, |key| key.region),
            cells: slot.cells.iter().map(cell).collect(),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// The slot, with the codes that names have now.
    pub fn restore(self, categories: &mut Names, variants: &mut Names, regions: &mut Names) -> Slot {
        let (categories, variants, regions) = (
            recode(&self.categories, categories),
            recode(&self.variants, variants),
            recode(&self.regions, regions),
        );
        let code = |codes: &FxHashMap<Code, Code>, code: Code| match code {
            NO_NAME | OTHER_NAME => code,
            code => codes.get(&code).copied().unwrap_or(OTHER_NAME),
        };
        let mut slot = Slot::new(self.number);
        slot.sequence = self.sequence;
        for (channels, category, variant, region, position, counts) in self.cells {
            let key = CellKey {
                channels,
                category: code(&categories, category),
                variant: code(&variants, variant),
                region: code(&regions, region),
                position,
            };
            slot.cells.entry(key).or_default().merge(&counts);
        }
        slot
    }
}

fn used(slot: &Slot, names: &Names, of: impl Fn(&CellKey) -> Code) -> StoredNames {
    let mut codes: Vec<Code> = slot.cells.keys().map(of).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.retain(|code| !matches!(*code, NO_NAME | OTHER_NAME));
    codes
        .into_iter()
        .map(|code| (code, names.name(code).to_owned()))
        .collect()
}

fn recode(stored: &StoredNames, names: &mut Names) -> FxHashMap<Code, Code> {
    stored.iter().map(|(code, name)| (*code, names.intern(name))).collect()
}
