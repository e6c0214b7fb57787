//! What became of an import, for people.
//!
//! Owns the count of bad lines by reason with the first line numbers of each. Bounded: see the constants.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::feeder::{Place, Refusal};

/// How many line numbers are named per reason.
const LINES_SHOWN_MAX: usize = 20;
/// The most reasons that are told apart; what comes later counts as `other`.
const REASONS_MAX: usize = 64;

/// The bad lines of one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    count: u64,
    first_detail: String,
    places: Vec<Place>,
}

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Rows that were read and are well formed.
    pub(crate) rows: u64,
    /// Rows that were taken.
    pub(crate) taken: u64,
    /// Rows that had been taken before.
    pub(crate) duplicates: u64,
    /// Items that were made because events named them.
    pub(crate) items_created: u64,
    /// What was decided or left out on the way, and how often.
    pub(crate) notes: Vec<(String, u64)>,
    rejected: u64,
    reasons: BTreeMap<String, Reason>,
}

impl Summary {
    /// Counts a bad line.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.rejected += 1;
        let known = self.reasons.contains_key(&refusal.code) || self.reasons.len() < REASONS_MAX;
        let code = if known { refusal.code } else { "other".to_owned() };
        let first = || Reason {
            count: 0,
            first_detail: refusal.detail,
            places: Vec::new(),
        };
        let reason = self.reasons.entry(code).or_insert_with(first);
        reason.count += 1;
        // One line may give several rows: it is named once.
        if reason.places.len() < LINES_SHOWN_MAX && reason.places.last() != Some(&refusal.place) {
            reason.places.push(refusal.place);
        }
    }

    /// How many rows were not taken.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The whole summary as text. `verb` is `imported` or `checked`; `files` are the inputs by their number.
    pub(crate) fn describe<'a>(
        &'a self,
        verb: &'a str,
        noun: &'a dyn fmt::Display,
        took: Duration,
        files: &'a [PathBuf],
    ) -> impl fmt::Display + 'a {
        Described {
            summary: self,
            verb,
            noun,
            took,
            files,
        }
    }
}

struct Described<'a> {
    summary: &'a Summary,
    verb: &'a str,
    noun: &'a dyn fmt::Display,
    took: Duration,
    files: &'a [PathBuf],
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            summary,
            verb,
            noun,
            took,
            files,
        } = self;
        write!(formatter, "{verb} {} {noun}", summary.taken)?;
        if summary.duplicates > 0 {
            write!(formatter, " ({} more had been there before)", summary.duplicates)?;
        }
        let seconds = took.as_secs_f64();
        let rows_per_s = if seconds > 0.0 {
            summary.rows as f64 / seconds
        } else {
            0.0
        };
        write!(formatter, " in {seconds:.1} s, {rows_per_s:.0} rows/s")?;
        if summary.items_created > 0 {
            write!(formatter, "\ncreated {} items that events named", summary.items_created)?;
        }
        for (note, count) in &summary.notes {
            write!(formatter, "\nnote: {count} {note}")?;
        }
        if summary.rejected == 0 {
            return Ok(());
        }
        write!(formatter, "\nrejected {}:", summary.rejected)?;
        for (code, reason) in &summary.reasons {
            write!(formatter, "\n  {code}: {}", reason.count)?;
            write_places(formatter, reason, files)?;
            write!(formatter, "\n    first: {}", reason.first_detail)?;
        }
        Ok(())
    }
}

/// ` (a.csv lines 3, 7; b.csv line 2, ...)`
fn write_places(formatter: &mut fmt::Formatter<'_>, reason: &Reason, files: &[PathBuf]) -> fmt::Result {
    let mut file_before = None;
    write!(formatter, " (")?;
    for place in &reason.places {
        if file_before != Some(place.file) {
            let separator = if file_before.is_some() { "; " } else { "" };
            let name = files
                .get(place.file)
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            write!(formatter, "{separator}{name} line {}", place.line)?;
        } else {
            write!(formatter, ", {}", place.line)?;
        }
        file_before = Some(place.file);
    }
    write!(
        formatter,
        "{})",
        if reason.places.len() == LINES_SHOWN_MAX {
            ", ..."
        } else {
            ""
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(file: usize, line: u64, code: &str) -> Refusal {
        Refusal {
            place: Place { file, line },
            code: code.to_owned(),
            detail: format!("detail {line}"),
        }
    }

    #[test]
    fn bad_lines_are_told_by_reason_with_their_lines() {
        let mut summary = Summary {
            rows: 100,
            taken: 97,
            duplicates: 1,
            ..Summary::default()
        };
        for (file, line, code) in [(0, 3, "b"), (0, 7, "a"), (0, 7, "a"), (1, 2, "a")] {
            summary.refuse(refusal(file, line, code));
        }
        let files = [PathBuf::from("x.csv"), PathBuf::from("y.csv")];
        let text = summary
            .describe("imported", &"items", Duration::from_secs(2), &files)
            .to_string();
        let expected = "imported 97 items (1 more had been there before) in 2.0 s, 50 rows/s\nrejected 4:\n  \
            a: 3 (x.csv line 7; y.csv line 2)\n    first: detail 7\n  b: 1 (x.csv line 3)\n    first: detail 3";
        assert_eq!(text, expected);
    }

    #[test]
    fn neither_lines_nor_reasons_grow_without_bound() {
        let mut summary = Summary::default();
        for line in 0..1_000 {
            summary.refuse(refusal(0, line, "same"));
            summary.refuse(refusal(0, line, &format!("code {line}")));
        }
        assert_eq!(summary.rejected(), 2_000);
        assert_eq!(summary.reasons.len(), REASONS_MAX + 1);
        assert_eq!(summary.reasons["same"].places.len(), LINES_SHOWN_MAX);
        assert_eq!(summary.reasons["other"].count, 1_000 - 63);
    }
}
