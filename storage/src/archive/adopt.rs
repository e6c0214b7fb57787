//! Cold files that the manifest does not name: after the loss of the manifest, a restore of a part, or a crash between a
//! file and its entry. Owns which of them are ours, and what they hold; never deletes what it does not understand.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::cold::{EXTENSION, label};
use super::manifest::{ColdFile, Manifest};
use super::{ArchiveError, ArchiveKind};
use crate::files::UNFINISHED_EXTENSION;
use crate::table::{Column, ColumnKind, TableError, TableReader};

/// Metadata key of the start of a file's interval, milliseconds since 1970.
pub(super) const NOTE_START_MS: &str = "swipeline.start_ms";
/// Metadata key of the last warm batch of the interval that is in the file or in an earlier one.
pub(super) const NOTE_BATCH_LAST: &str = "swipeline.batch_last";

/// The columns that tell what files hold which do not say it themselves.
const AT_COLUMN: &str = "at";
const SEQUENCE_COLUMN: &str = "sequence";

/// Removes unfinished files of ours from the folder of a kind and puts unnamed ones on the manifest. Returns whether it
/// has changed.
pub(super) fn settle(folder: &Path, kind: ArchiveKind, manifest: &mut Manifest) -> Result<bool, ArchiveError> {
    let at = |error| ArchiveError::io(folder, error);
    let mut unnamed = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let has_extension = |wanted: &str| path.extension().is_some_and(|extension| extension == wanted);
        let Some((start_ms, number)) = Name::parse(&name) else {
            if has_extension(EXTENSION) || has_extension(UNFINISHED_EXTENSION) {
                tracing::warn!(path = %path.display(), "a file in the archive that is not the server's is left alone");
            }
            continue;
        };
        if has_extension(UNFINISHED_EXTENSION) {
            fs::remove_file(&path).map_err(|error| ArchiveError::io(&path, error))?;
            continue;
        }
        let is_named = manifest.files.iter().any(|file| file.kind == kind && file.file == name);
        if has_extension(EXTENSION) && !is_named {
            unnamed.push((number, name, start_ms, path));
        }
    }
    unnamed.sort();
    let has_changed = !unnamed.is_empty();
    for (number, name, start_ms, path) in unnamed {
        let file = match describe(&path, kind, name, start_ms) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a file of the archive cannot be read and is left alone");
                continue;
            }
        };
        // A rewritten file keeps its last batch, so the one that took its place says the same.
        let is_replaced = manifest.files.iter().any(|named| {
            let is_same_interval = named.kind == kind && named.start_ms == file.start_ms;
            let is_older = number < manifest.next_number;
            is_same_interval && (named.batch_last == file.batch_last || (file.batch_last == 0 && is_older))
        });
        if is_replaced {
            fs::remove_file(&path).map_err(|error| ArchiveError::io(&path, error))?;
            continue;
        }
        tracing::warn!(path = %path.display(), rows = file.rows, "a file of the archive that no manifest named was adopted");
        manifest.files.push(file);
        manifest.next_number = manifest.next_number.max(number);
    }
    Ok(has_changed)
}

/// `<label of the interval>-<number>.<extension>`
struct Name;

impl Name {
    /// The interval's start (to the second) and the number; `None` for a name that is not ours.
    fn parse(name: &str) -> Option<(i64, u64)> {
        let (stem, _) = name.rsplit_once('.')?;
        let (start, number) = stem.rsplit_once('-')?;
        let is_number = number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit());
        let start_ms = match DateTime::strptime("%Y%m%dT%H%M%SZ", start) {
            Ok(time) => time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond(),
            Err(_) => start
                .parse()
                .ok()
                .filter(|ms| Timestamp::from_millisecond(*ms).is_err())?,
        };
        (is_number && label(start_ms) == start).then_some((start_ms, number.parse().ok()?))
    }
}

/// What a file holds, by itself.
fn describe(path: &Path, kind: ArchiveKind, file: String, start_ms: i64) -> Result<ColdFile, TableError> {
    let metadata = fs::metadata(path)?;
    let mut reader = TableReader::open(path)?;
    if reader.table().name != kind.name() {
        return Err(TableError::OtherTable {
            found: format!("{:?}", reader.table().name),
            wanted: format!("{:?}", kind.name()),
        });
    }
    let note = |wanted: &str| -> Option<String> {
        let notes = &reader.table().notes;
        notes
            .iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.clone())
    };
    let noted_start: Option<i64> = note(NOTE_START_MS).and_then(|start| start.parse().ok());
    let noted_batch: Option<u64> = note(NOTE_BATCH_LAST).and_then(|batch| batch.parse().ok());
    let columns = [
        Column::optional(AT_COLUMN, ColumnKind::Time),
        Column::optional(SEQUENCE_COLUMN, ColumnKind::Int),
    ];
    let (mut at_first_ms, mut at_last_ms, mut sequence_last) = (i64::MAX, i64::MIN, 0);
    while let Some(row) = reader.next_cells(&columns) {
        let row = row?;
        if let Some(at_ms) = row[0].as_int() {
            at_first_ms = at_first_ms.min(at_ms);
            at_last_ms = at_last_ms.max(at_ms);
        }
        sequence_last = sequence_last.max(row[1].as_int().and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0));
    }
    // Events come in the order of their numbers, and a batch has the name of its first: all batches that begin up to the
    // last number in the file are in it.
    let batch_last = match kind {
        ArchiveKind::Events => noted_batch.unwrap_or(sequence_last),
        ArchiveKind::Slates => noted_batch.unwrap_or(0),
    };
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
    Ok(ColdFile {
        kind,
        file,
        start_ms: noted_start.unwrap_or(start_ms),
        rows: reader.rows_total(),
        bytes: metadata.len(),
        batch_last,
        at_first_ms: at_first_ms.min(at_last_ms),
        at_last_ms: at_last_ms.max(at_first_ms),
        written_ms: modified.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_ours() {
        assert_eq!(
            Name::parse("20260131T120000Z-000012.parquet"),
            Some((1_769_860_800_000, 12))
        );
        assert_eq!(
            Name::parse("20260131T120000Z-1000000.tmp"),
            Some((1_769_860_800_000, 1_000_000))
        );
        for foreign in [
            "orphan.parquet",
            "20260131T120000Z.parquet",
            "20260131T120000Z-12.parquet",
            "20260131-000012.parquet",
            "export-000012.parquet",
            "7-000012.parquet",
        ] {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
    }
}
