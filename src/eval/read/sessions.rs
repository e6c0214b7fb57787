//! Click sessions: TSV with a header `SessionId ItemId Time`, times in seconds.

use std::path::Path;

use super::{Ids, ReadError, at_fault, at_line, empty, for_each_line, id, open_lines, seconds_as_ms};
use crate::eval::log::{Catalogue, Interaction, SplitLog};

/// Reads the training and the test file; both in time order, clicks of one moment as the file has them.
///
/// # Errors
/// A file cannot be read, its header lacks a column, or a line is bad.
pub(crate) fn read(train: &Path, test: &Path) -> Result<SplitLog, ReadError> {
    let (mut sessions, mut items) = (Ids::default(), Ids::default());
    let history = read_file(train, &mut sessions, &mut items)?;
    // A session number of the test file is another session than the same number of the training file.
    let train_sessions = sessions.into_ids();
    let mut sessions = Ids::default();
    let mut stream = read_file(test, &mut sessions, &mut items)?;
    stream
        .iter_mut()
        .for_each(|click| click.user += train_sessions.len() as u32);
    let mut user_ids = train_sessions;
    user_ids.extend(sessions.into_ids());
    Ok(SplitLog {
        catalogue: Catalogue {
            user_ids,
            item_ids: items.into_ids(),
            items: Vec::new(),
        },
        history,
        stream,
    })
}

fn read_file(path: &Path, sessions: &mut Ids, items: &mut Ids) -> Result<Vec<Interaction>, ReadError> {
    let mut lines = open_lines(path)?;
    let first = lines
        .advance_past_blank()
        .ok_or_else(|| empty(path, "no clicks in it"))?;
    let first = first.map_err(|fault| at_fault(path, &fault))?;
    let head = lines.text_or_latin1().into_owned();
    let header: Vec<&str> = head.split('\t').map(str::trim).collect();
    let place = |name: &str| {
        let found = header.iter().position(|column| column.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            at_line(
                path,
                first,
                format!("the header has no column `{name}` (tabs between columns)"),
            )
        })
    };
    let (session, item, time) = (place("SessionId")?, place("ItemId")?, place("Time")?);
    let mut clicks = Vec::new();
    for_each_line(path, &mut lines, |_, text| {
        let cells: Vec<&str> = text.split('\t').collect();
        if cells.len() != header.len() {
            return Err(format!("has {} columns, the header has {}", cells.len(), header.len()));
        }
        clicks.push(Interaction {
            user: sessions.number(id(cells[session])?),
            item: items.number(id(cells[item])?),
            at_ms: seconds_as_ms(cells[time])?,
            value: 1.0,
        });
        Ok(())
    })?;
    if clicks.is_empty() {
        return Err(empty(path, "no clicks in it"));
    }
    clicks.sort_by_key(|click| click.at_ms);
    Ok(clicks)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn plain_and_gzip_read_the_same_and_sessions_of_two_files_are_apart() {
        let text = b"SessionId\tItemId\tTime\n3\t20\t5.25\n3\t10\t1\n4\t10\t2\n";
        let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
        zipped.write_all(text).expect("zipped");
        let zipped = file(&zipped.finish().expect("zipped"));
        let plain = file(text);
        let log = read(plain.path(), zipped.path()).expect("a log");
        assert_eq!(log.catalogue.user_ids, ["3", "4", "3", "4"]);
        assert_eq!(log.catalogue.item_ids, ["20", "10"]);
        let shape = |clicks: &[Interaction]| -> Vec<(u32, u32, i64)> {
            clicks
                .iter()
                .map(|click| (click.user, click.item, click.at_ms))
                .collect()
        };
        assert_eq!(shape(&log.history), [(0, 1, 1_000), (1, 1, 2_000), (0, 0, 5_250)]);
        assert_eq!(shape(&log.stream), [(2, 1, 1_000), (3, 1, 2_000), (2, 0, 5_250)]);
    }

    #[test]
    fn bad_lines_are_named() {
        let good = file(b"SessionId\tItemId\tTime\n3\t20\t5\n");
        for (text, said) in [
            (&b"SessionId\tTime\n3\t5\n"[..], ":1: the header has no column `ItemId`"),
            (b"SessionId\tItemId\tTime\n3\t20\n", ":2: has 2 columns"),
            (b"SessionId\tItemId\tTime\n3\t20\tnoon\n", ":2: \"noon\" is not a time"),
            (b"SessionId\tItemId\tTime\n", "no clicks in it"),
        ] {
            let bad = file(text);
            let error = read(good.path(), bad.path()).expect_err("bad").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
