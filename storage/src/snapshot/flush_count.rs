//! Notices when sled came back without something it had flushed: every flush is counted inside the database and, after
//! it has returned, in a file beside it. A database that is behind its file has lost flushed data (sled cuts off the
//! damaged end of its log without an error). Must not decide what to do about it.

use std::fs;
use std::io;
use std::path::Path;

use crate::files::write_atomically;

const COUNT_KEY: &[u8] = b"flushes";
const COUNT_FILE: &str = "flushes";

/// Counts one more flush in the database and returns the count.
pub(super) fn raise(db: &sled::Db) -> sled::Result<u64> {
    let count = stored(db)?.saturating_add(1);
    db.insert(COUNT_KEY, &count.to_le_bytes())?;
    Ok(count)
}

/// Notes beside the database that the flush with this count has returned.
pub(super) fn note(path: &Path, count: u64) -> io::Result<()> {
    write_atomically(&path.join(COUNT_FILE), count.to_string().as_bytes())
}

/// How many flushes the database is behind its file.
pub(super) fn lost(path: &Path, db: &sled::Db) -> sled::Result<u64> {
    // A file that is missing or damaged proves nothing.
    let noted = fs::read_to_string(path.join(COUNT_FILE))
        .ok()
        .and_then(|count| count.parse::<u64>().ok());
    let lost = noted.unwrap_or(0).saturating_sub(stored(db)?);
    if lost > 0 {
        tracing::error!(lost, path = %path.display(), "the snapshot store is damaged: it came back without its last flushes");
    }
    Ok(lost)
}

fn stored(db: &sled::Db) -> sled::Result<u64> {
    let bytes = db.get(COUNT_KEY)?;
    let count = bytes.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_le_bytes));
    Ok(count.unwrap_or(0))
}
