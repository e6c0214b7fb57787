//! The feedback itself, as gorse's clients read it back: who, what, on which item, how much, since when.
//!
//! Owns the feedbacks in memory, by type, by user and by item, and their file (one JSON document a line, appended before a
//! call is answered, written anew when most of it is outdated or somebody is forgotten). What feedback teaches is the
//! engine's: this is only the book that is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file is written anew when it has so many more lines than feedbacks.
const OUTDATED_LINES_MAX: usize = 100_000;

/// Why the book cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// It is full; see `gorse.feedback_max`.
    #[error("there are {0} feedbacks already, more are not kept (gorse.feedback_max)")]
    Full(usize),
    /// Its file cannot be written or read.
    #[error("the file of feedbacks: {0}")]
    Io(#[from] std::io::Error),
}

/// What names a feedback: type, user, item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FeedbackKey {
    /// What.
    pub(crate) kind: Arc<str>,
    /// Who.
    pub(crate) user: Arc<str>,
    /// With what.
    pub(crate) item: Arc<str>,
}

/// The rest of a feedback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeedbackBody {
    /// How much.
    pub(crate) value: f64,
    /// When first, in milliseconds since 1970-01-01 UTC.
    pub(crate) at: i64,
    /// When last.
    pub(crate) updated: i64,
    /// Anything.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) labels: Value,
    /// Anything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) comment: String,
}

/// A feedback.
pub(crate) type Kept = (FeedbackKey, FeedbackBody);

/// What happens when a feedback is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Values add up; the first time stays the first.
    Adds,
    /// It takes the place of the old one.
    Replaces,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Put(FeedbackKey, FeedbackBody),
    Delete(FeedbackKey),
}

/// The book of feedbacks.
pub(crate) struct Ledger {
    pages: Mutex<Pages>,
    path: PathBuf,
    is_synced: bool,
    feedback_max: usize,
}

struct Pages {
    by_key: BTreeMap<FeedbackKey, FeedbackBody>,
    by_user: BTreeMap<Arc<str>, BTreeSet<FeedbackKey>>,
    by_item: BTreeMap<Arc<str>, BTreeSet<FeedbackKey>>,
    file: File,
    lines: usize,
}

impl Ledger {
    /// Opens the book in `folder`. With `is_synced` what was written survives power loss as well.
    ///
    /// # Errors
    /// Its file cannot be read or written.
    pub(crate) fn open(folder: &Path, is_synced: bool, feedback_max: usize) -> Result<Self, LedgerError> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("feedback.jsonl");
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        let mut pages = Pages {
            by_key: BTreeMap::new(),
            by_user: BTreeMap::new(),
            by_item: BTreeMap::new(),
            file,
            lines: 0,
        };
        let (mut bytes_good, mut bad_lines) = (0, 0_u64);
        let mut reader = BufReader::new(File::open(&path)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            match serde_json::from_slice::<Line>(&line) {
                Ok(read) => pages.apply(read),
                Err(_) => bad_lines += 1,
            }
            pages.lines += 1;
            if line.ends_with(b"\n") {
                bytes_good += line.len() as u64;
            }
            line.clear();
        }
        if bad_lines > 0 {
            tracing::warn!(bad_lines, path = %path.display(), "lines of the file of feedbacks cannot be read");
        }
        // A torn last line was never answered for.
        pages.file.set_len(bytes_good)?;
        let ledger = Self {
            pages: Mutex::new(pages),
            path,
            is_synced,
            feedback_max,
        };
        ledger.tidy(&mut ledger.pages())?;
        Ok(ledger)
    }

    /// Takes feedbacks; on disk when it returns.
    ///
    /// # Errors
    /// The book is full, or its file cannot be written; nothing was taken then.
    pub(crate) fn put(&self, feedbacks: Vec<Kept>, again: Again) -> Result<(), LedgerError> {
        let mut pages = self.pages();
        let count_new = feedbacks
            .iter()
            .filter(|(key, _)| !pages.by_key.contains_key(key))
            .count();
        if pages.by_key.len() + count_new > self.feedback_max {
            return Err(LedgerError::Full(pages.by_key.len()));
        }
        let mut merged: BTreeMap<FeedbackKey, FeedbackBody> = BTreeMap::new();
        for (key, body) in feedbacks {
            let known = merged.get(&key).or_else(|| pages.by_key.get(&key));
            let body = match (again, known) {
                (Again::Adds, Some(old)) => FeedbackBody {
                    value: old.value + body.value,
                    at: old.at.min(body.at),
                    updated: old.updated.max(body.updated),
                    ..body
                },
                (Again::Replaces, _) | (Again::Adds, None) => body,
            };
            merged.insert(key, body);
        }
        let lines = merged.into_iter().map(|(key, body)| Line::Put(key, body)).collect();
        self.write(&mut pages, lines)
    }

    /// Deletes what a user did with an item, of one type or of all. Returns what was there.
    ///
    /// # Errors
    /// The file cannot be written; nothing was deleted then.
    pub(crate) fn delete(&self, user: &str, item: &str, kind: Option<&str>) -> Result<Vec<Kept>, LedgerError> {
        let gone: Vec<Kept> = self
            .of_user(user, i64::MAX)
            .into_iter()
            .filter(|(key, _)| &*key.item == item && kind.is_none_or(|kind| &*key.kind == kind))
            .collect();
        let lines = gone.iter().map(|(key, _)| Line::Delete(key.clone())).collect();
        self.write(&mut self.pages(), lines)?;
        Ok(gone)
    }

    /// Forgets a user, in the file too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn forget_user(&self, user: &str) -> Result<(), LedgerError> {
        let mut pages = self.pages();
        let keys = pages.by_user.get(user).cloned().unwrap_or_default();
        if keys.is_empty() {
            return Ok(());
        }
        keys.into_iter().for_each(|key| pages.apply(Line::Delete(key)));
        self.write_anew(&mut pages)
    }

    /// One feedback.
    pub(crate) fn get(&self, key: &FeedbackKey) -> Option<FeedbackBody> {
        self.pages().by_key.get(key).cloned()
    }

    /// What a user has done up to `now`, by type and item.
    pub(crate) fn of_user(&self, user: &str, now: i64) -> Vec<Kept> {
        let pages = self.pages();
        pages.listed(pages.by_user.get(user), now)
    }

    /// What was done with an item up to `now`, by type and user.
    pub(crate) fn of_item(&self, item: &str, now: i64) -> Vec<Kept> {
        let pages = self.pages();
        pages.listed(pages.by_item.get(item), now)
    }

    /// At most `n` feedbacks from `from` on, of one type or of all, and the one behind them.
    pub(crate) fn page(
        &self,
        from: Option<&FeedbackKey>,
        kind: Option<&str>,
        n: usize,
        now: i64,
    ) -> (Vec<Kept>, Option<FeedbackKey>) {
        let start = from.cloned().or_else(|| {
            let kind = Arc::from(kind?);
            Some(FeedbackKey {
                kind,
                user: Arc::from(""),
                item: Arc::from(""),
            })
        });
        let pages = self.pages();
        let range = (
            start.as_ref().map_or(Bound::Unbounded, Bound::Included),
            Bound::Unbounded,
        );
        let mut found = pages
            .by_key
            .range::<FeedbackKey, _>(range)
            .take_while(|(key, _)| kind.is_none_or(|kind| &*key.kind == kind))
            .filter(|(_, body)| body.at <= now);
        let page = found
            .by_ref()
            .take(n)
            .map(|(key, body)| (key.clone(), body.clone()))
            .collect();
        (page, found.next().map(|(key, _)| key.clone()))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, pages: &mut Pages, lines: Vec<Line>) -> Result<(), LedgerError> {
        let mut bytes = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut bytes, line).map_err(std::io::Error::other)?;
            bytes.push(b'\n');
        }
        let length = pages.file.metadata()?.len();
        let written = pages.file.write_all(&bytes).and_then(|()| match self.is_synced {
            true => pages.file.sync_data(),
            false => Ok(()),
        });
        if let Err(error) = written {
            // What is half there must not become the head of the next line.
            pages.file.set_len(length)?;
            return Err(error.into());
        }
        pages.lines += lines.len();
        lines.into_iter().for_each(|line| pages.apply(line));
        self.tidy(pages)
    }

    fn tidy(&self, pages: &mut Pages) -> Result<(), LedgerError> {
        if pages.lines > pages.by_key.len() * 2 + OUTDATED_LINES_MAX {
            self.write_anew(pages)?;
        }
        Ok(())
    }

    fn write_anew(&self, pages: &mut Pages) -> Result<(), LedgerError> {
        let aside = self.path.with_extension("new");
        let mut writer = std::io::BufWriter::new(File::create(&aside)?);
        for (key, body) in &pages.by_key {
            serde_json::to_writer(&mut writer, &Line::Put(key.clone(), body.clone())).map_err(std::io::Error::other)?;
            writer.write_all(b"\n")?;
        }
        writer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        std::fs::rename(&aside, &self.path)?;
        pages.file = OpenOptions::new().append(true).read(true).open(&self.path)?;
        pages.lines = pages.by_key.len();
        Ok(())
    }
}

impl Pages {
    fn apply(&mut self, line: Line) {
        match line {
            Line::Put(key, body) => {
                let key = self.interned(key);
                self.by_user.entry(key.user.clone()).or_default().insert(key.clone());
                self.by_item.entry(key.item.clone()).or_default().insert(key.clone());
                self.by_key.insert(key, body);
            }
            Line::Delete(key) => {
                self.by_key.remove(&key);
                for (index, name) in [(&mut self.by_user, &key.user), (&mut self.by_item, &key.item)] {
                    if let Some(keys) = index.get_mut(name) {
                        keys.remove(&key);
                        if keys.is_empty() {
                            index.remove(name);
                        }
                    }
                }
            }
        }
    }

    /// The key with the names that are known already, so that each name is in memory once.
    fn interned(&self, key: FeedbackKey) -> FeedbackKey {
        let known = |index: &BTreeMap<Arc<str>, BTreeSet<FeedbackKey>>, name: Arc<str>| {
            index.get_key_value(&name).map_or(name, |(known, _)| Arc::clone(known))
        };
        let kind = self
            .by_key
            .range(..=key.clone())
            .next_back()
            .map(|(before, _)| before.kind.clone());
        FeedbackKey {
            kind: kind.filter(|known| *known == key.kind).unwrap_or(key.kind),
            user: known(&self.by_user, key.user),
            item: known(&self.by_item, key.item),
        }
    }

    fn listed(&self, keys: Option<&BTreeSet<FeedbackKey>>, now: i64) -> Vec<Kept> {
        let known = keys
            .into_iter()
            .flatten()
            .filter_map(|key| self.by_key.get_key_value(key));
        let visible = known.filter(|(_, body)| body.at <= now);
        visible.map(|(key, body)| (key.clone(), body.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(kind: &str, user: &str, item: &str) -> FeedbackKey {
        let [kind, user, item] = [kind, user, item].map(Arc::from);
        FeedbackKey { kind, user, item }
    }

    fn body(value: f64, at: i64) -> FeedbackBody {
        FeedbackBody {
            value,
            at,
            updated: at,
            labels: Value::Null,
            comment: String::new(),
        }
    }

    fn open(folder: &Path) -> Ledger {
        Ledger::open(folder, false, 1_000).expect("opens")
    }

    #[test]
    fn feedback_adds_up_or_is_replaced_and_survives() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = open(folder.path());
        let read = key("read", "u", "v");
        ledger
            .put(
                vec![(read.clone(), body(1.0, 5)), (read.clone(), body(2.0, 3))],
                Again::Adds,
            )
            .expect("taken");
        let expected = FeedbackBody {
            updated: 5,
            ..body(3.0, 3)
        };
        assert_eq!(ledger.get(&read), Some(expected.clone()));
        drop(ledger);
        let ledger = open(folder.path());
        assert_eq!(ledger.get(&read), Some(expected));
        ledger
            .put(vec![(read.clone(), body(9.0, 9))], Again::Replaces)
            .expect("taken");
        assert_eq!(ledger.get(&read), Some(body(9.0, 9)));
        assert_eq!(ledger.of_user("u", 8), [], "it lies in the future");
        assert_eq!(ledger.of_item("v", 9).len(), 1);
        assert_eq!(ledger.delete("u", "v", Some("like")).expect("deleted").len(), 0);
        assert_eq!(ledger.delete("u", "v", None).expect("deleted").len(), 1);
        assert_eq!(open(folder.path()).get(&read), None);
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = open(folder.path());
        let all: Vec<Kept> = ["a", "b", "c"]
            .into_iter()
            .map(|item| (key("like", "u", item), body(0.0, 0)))
            .collect();
        ledger.put(all.clone(), Again::Adds).expect("taken");
        ledger
            .put(vec![(key("read", "u", "a"), body(0.0, 0))], Again::Adds)
            .expect("taken");
        let (first, next) = ledger.page(None, Some("like"), 2, 0);
        assert_eq!(first, all[..2]);
        let (second, next) = ledger.page(next.as_ref(), Some("like"), 2, 0);
        assert_eq!((second.as_slice(), next), (&all[2..], None));
        assert_eq!(ledger.page(None, None, 9, 0).0.len(), 4);
        assert_eq!(ledger.page(None, Some("star"), 9, 0).0.len(), 0);
    }

    #[test]
    fn who_is_forgotten_is_not_in_the_file_and_a_full_book_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(folder.path(), true, 2).expect("opens");
        ledger
            .put(vec![(key("like", "hermit", "v"), body(0.0, 0))], Again::Adds)
            .expect("taken");
        ledger
            .put(vec![(key("like", "other", "v"), body(0.0, 0))], Again::Adds)
            .expect("taken");
        assert!(matches!(
            ledger.put(vec![(key("like", "third", "v"), body(0.0, 0))], Again::Adds),
            Err(LedgerError::Full(2))
        ));
        ledger.forget_user("hermit").expect("forgotten");
        let text = std::fs::read_to_string(folder.path().join("feedback.jsonl")).expect("a file");
        assert!(!text.contains("hermit") && text.contains("other"));
        ledger
            .put(vec![(key("like", "third", "v"), body(0.0, 0))], Again::Adds)
            .expect("there is room");
        assert_eq!(open(folder.path()).of_item("v", 0).len(), 2);
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path())
            .put(vec![(key("like", "u", "v"), body(0.0, 0))], Again::Adds)
            .expect("taken");
        let path = folder.path().join("feedback.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"{\"put\":[{\"kind\":\"li").expect("written");
        let ledger = open(folder.path());
        ledger
            .put(vec![(key("like", "u", "w"), body(0.0, 0))], Again::Adds)
            .expect("taken");
        assert_eq!(open(folder.path()).of_user("u", 0).len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_indexes_agree_and_a_restart_changes_nothing(
            steps in proptest::collection::vec((0..3u8, 0..3u8, 0..3u8, 0..3u8), 1..40),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let ledger = open(folder.path());
            let mut model: BTreeMap<FeedbackKey, f64> = BTreeMap::new();
            for (what, kind, user, item) in steps {
                let key = key(&kind.to_string(), &user.to_string(), &item.to_string());
                match what {
                    0 => {
                        ledger.put(vec![(key.clone(), body(1.0, 0))], Again::Adds).expect("taken");
                        *model.entry(key).or_default() += 1.0;
                    }
                    1 => {
                        ledger.delete(&key.user, &key.item, None).expect("deleted");
                        model.retain(|known, _| known.user != key.user || known.item != key.item);
                    }
                    _ => {
                        ledger.forget_user(&key.user).expect("forgotten");
                        model.retain(|known, _| known.user != key.user);
                    }
                }
            }
            for ledger in [&ledger, &open(folder.path())] {
                let all = ledger.page(None, None, 1_000, 0).0;
                let listed: BTreeMap<_, _> = all.into_iter().map(|(key, body)| (key, body.value)).collect();
                prop_assert_eq!(&listed, &model);
                for name in ["0", "1", "2"] {
                    let of_user = model.keys().filter(|key| &*key.user == name).count();
                    prop_assert_eq!(ledger.of_user(name, 0).len(), of_user);
                    let of_item = model.keys().filter(|key| &*key.item == name).count();
                    prop_assert_eq!(ledger.of_item(name, 0).len(), of_item);
                }
            }
        }
    }
}
