//! Sequences: one `user item` line per event, each user's events in order, without times.

use std::path::Path;

use super::{Ids, ReadError, empty, for_each_line, id, open_lines};
use crate::eval::log::{Catalogue, Interaction, SplitLog};

/// Reads the training file and the test file, which holds each user's target. Lines are counted for times.
///
/// # Errors
/// A file cannot be read, or a line does not hold two ids.
pub(crate) fn read(train: &Path, test: &Path) -> Result<SplitLog, ReadError> {
    let (mut users, mut items) = (Ids::default(), Ids::default());
    let history = read_file(train, 0, &mut users, &mut items)?;
    let stream = read_file(test, history.len() as i64, &mut users, &mut items)?;
    Ok(SplitLog {
        catalogue: Catalogue {
            user_ids: users.into_ids(),
            item_ids: items.into_ids(),
            items: Vec::new(),
        },
        history,
        stream,
    })
}

fn read_file(path: &Path, start: i64, users: &mut Ids, items: &mut Ids) -> Result<Vec<Interaction>, ReadError> {
    let mut lines = open_lines(path)?;
    let mut events: Vec<Interaction> = Vec::new();
    for_each_line(path, &mut lines, |_, text| {
        let mut cells = text.split_whitespace();
        let (Some(user), Some(item), None) = (cells.next(), cells.next(), cells.next()) else {
            return Err("is not `user item`".to_owned());
        };
        events.push(Interaction {
            user: users.number(id(user)?),
            item: items.number(id(item)?),
            at_ms: start + events.len() as i64,
            value: 1.0,
        });
        Ok(())
    })?;
    if events.is_empty() {
        return Err(empty(path, "no events in it"));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn lines_are_events_in_order() {
        let log = read(file("1 5\n1 6\n2 5\n").path(), file("1\t7\n2 6\n").path()).expect("a log");
        let shape = |events: &[Interaction]| -> Vec<(u32, u32, i64)> {
            events
                .iter()
                .map(|event| (event.user, event.item, event.at_ms))
                .collect()
        };
        assert_eq!(shape(&log.history), [(0, 0, 0), (0, 1, 1), (1, 0, 2)]);
        assert_eq!(shape(&log.stream), [(0, 2, 3), (1, 1, 4)]);
        let error = read(file("1 5\n1\n").path(), file("1 7\n").path())
            .expect_err("bad")
            .to_string();
        assert!(error.contains(":2: is not `user item`"), "{error}");
    }
}
