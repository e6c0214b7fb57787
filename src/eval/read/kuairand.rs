//! KuaiRand in its official CSV schema: logs of impressions, the basic features of videos, histories of viewers.
//!
//! Owns the names of the columns. The data set's own statistics per video are never read: they count the future.

use std::path::{Path, PathBuf};

use super::{Ids, ReadError, at_fault, at_line, empty, id, open_table};
use crate::eval::shown::{FeedCatalogue, ImpressionLog, Outcome, SKIP_PLAY_MS_MAX, Shown, VideoFacts, WatchHistory};
use crate::transfer::{Table, parse_time};

/// The columns of a log, in the order in which [`impression`] takes them.
const LOG_COLUMNS: [&str; 17] = [
    "user_id",
    "video_id",
    "time_ms",
    "date",
    "hourmin",
    "tab",
    "duration_ms",
    "play_time_ms",
    "long_view",
    "is_like",
    "is_click",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "profile_stay_time",
    "comment_stay_time",
];
const VIDEO_COLUMNS: [&str; 7] = [
    "video_id",
    "author_id",
    "video_type",
    "upload_dt",
    "upload_type",
    "music_id",
    "tag",
];
const HISTORY_COLUMNS: [&str; 5] = ["user_id", "last_time_ms", "watched", "liked", "long_watched"];

/// Numbers given out while reading.
#[derive(Debug, Default)]
struct Numbers {
    users: Ids,
    videos: Ids,
}

/// Reads logs, the videos and, where there are any, histories of the viewers and what is known of them.
///
/// # Errors
/// A file cannot be read, lacks a column, or has a bad line.
pub(crate) fn read(
    logs: &[PathBuf],
    videos: &Path,
    history: Option<&Path>,
    viewers: Option<&Path>,
) -> Result<ImpressionLog, ReadError> {
    let mut numbers = Numbers::default();
    let mut impressions = Vec::new();
    for path in logs {
        let before = impressions.len();
        read_table(path, LOG_COLUMNS, |cells| {
            impressions.push(impression(cells, &mut numbers)?);
            Ok(())
        })?;
        if impressions.len() == before {
            return Err(empty(path, "no impressions in it"));
        }
    }
    let watched_before = match history {
        None => Vec::new(),
        Some(path) => read_histories(path, &mut numbers)?,
    };
    let videos = read_videos(videos, &mut numbers)?;
    let viewers = match viewers {
        None => Vec::new(),
        Some(path) => read_viewers(path, &numbers)?,
    };
    let catalogue = FeedCatalogue {
        user_ids: numbers.users.into_ids(),
        item_ids: numbers.videos.into_ids(),
        videos,
        viewers,
    };
    sort(&mut impressions, &catalogue);
    Ok(ImpressionLog {
        catalogue,
        watched_before,
        impressions,
    })
}

/// Orders by (time, user id, video id), ids as numbers where they are numbers.
fn sort(impressions: &mut [(Shown, Outcome)], catalogue: &FeedCatalogue) {
    let number = |id: &str| id.parse::<u64>().unwrap_or(u64::MAX);
    impressions.sort_by_cached_key(|(shown, _)| {
        let user = &catalogue.user_ids[shown.user as usize];
        let item = &catalogue.item_ids[shown.item as usize];
        (shown.at_ms, number(user), user.clone(), number(item), item.clone())
    });
}

fn read_table<const N: usize>(
    path: &Path,
    columns: [&str; N],
    mut take: impl FnMut([&str; N]) -> Result<(), String>,
) -> Result<(), ReadError> {
    let (mut table, places) = open_table(path, columns)?;
    while let Some(outcome) = table.advance() {
        let line = outcome.map_err(|fault| at_fault(path, &fault))?;
        take(cells(&table, places)).map_err(|detail| at_line(path, line, detail))?;
    }
    Ok(())
}

fn cells<const N: usize>(table: &Table, places: [usize; N]) -> [&str; N] {
    places.map(|place| table.cell(place).trim())
}

fn impression(cells: [&str; 17], numbers: &mut Numbers) -> Result<(Shown, Outcome), String> {
    let whole = |place: usize| whole_number(LOG_COLUMNS[place], cells[place]);
    let flag = |place: usize| Ok::<bool, String>(whole(place)? != 0);
    let day = u32::try_from(whole(3)?).map_err(|_| format!("{:?} is not a date as yyyymmdd", cells[3]))?;
    let hour = whole(4)? / 100;
    let shown = Shown {
        user: numbers.users.number(id(cells[0])?),
        item: numbers.videos.number(id(cells[1])?),
        at_ms: whole(2)?,
        day,
        hour: u8::try_from(hour)
            .ok()
            .filter(|hour| *hour < 24)
            .ok_or_else(|| format!("hourmin {:?} is no time of day", cells[4]))?,
        tab: u32::try_from(whole(5)?).map_err(|_| format!("tab {:?} is below 0", cells[5]))?,
        duration_ms: whole(6)?,
    };
    let play_time_ms = whole(7)?;
    let outcome = Outcome {
        labels: [flag(8)?, flag(9)?, flag(10)?, play_time_ms < SKIP_PLAY_MS_MAX],
        play_time_ms,
        is_follow: flag(11)?,
        is_comment: flag(12)?,
        is_forward: flag(13)?,
        is_hate: flag(14)?,
        profile_stay_ms: whole(15)?,
        comment_stay_ms: whole(16)?,
    };
    Ok((shown, outcome))
}

/// A number that may be written with a fraction (`87433.0`).
fn whole_number(name: &str, text: &str) -> Result<i64, String> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number);
    }
    let number = text.parse::<f64>().ok().filter(|number| number.abs() < 1e15);
    number
        .map(|number| number as i64)
        .ok_or_else(|| format!("{name}: {text:?} is not a number"))
}

fn read_videos(path: &Path, numbers: &mut Numbers) -> Result<Vec<VideoFacts>, ReadError> {
    let (mut authors, mut types, mut uploads, mut music) =
        (Ids::default(), Ids::default(), Ids::default(), Ids::default());
    let mut videos = Vec::new();
    let (mut table, places) = open_table(path, VIDEO_COLUMNS)?;
    let duration_place = table.column("video_duration");
    while let Some(outcome) = table.advance() {
        let line = outcome.map_err(|fault| at_fault(path, &fault))?;
        let [video, author, video_type, uploaded, upload_type, song, tags] = cells(&table, places);
        let video = numbers
            .videos
            .number(id(video).map_err(|detail| at_line(path, line, detail))?) as usize;
        if video >= videos.len() {
            videos.resize(video + 1, VideoFacts::default());
        }
        let duration = duration_place.and_then(|place| whole_number("", table.cell(place).trim()).ok());
        videos[video] = VideoFacts {
            author: Some(author)
                .filter(|text| !text.is_empty())
                .map(|text| authors.number(text)),
            tags: tags.split(',').filter_map(|tag| tag.trim().parse().ok()).collect(),
            video_type: types.number(video_type),
            upload_type: uploads.number(upload_type),
            music: Some(song)
                .filter(|text| !text.is_empty())
                .map(|text| music.number(text)),
            uploaded_at_ms: parse_time(uploaded).ok(),
            duration_ms: duration.filter(|duration_ms| *duration_ms > 0),
        };
    }
    videos.resize(numbers.videos.ids.len(), VideoFacts::default());
    Ok(videos)
}

/// Takes every column of the file as a category, but for raw numbers that have a column of ranges beside them.
fn read_viewers(path: &Path, numbers: &Numbers) -> Result<Vec<Vec<u32>>, ReadError> {
    let (mut table, [user_place]) = open_table(path, ["user_id"])?;
    let has_ranges = |name: &str| table.column(&format!("{name}_range")).is_some();
    let columns: Vec<(usize, String)> = table
        .header()
        .iter()
        .enumerate()
        .filter(|(place, name)| *place != user_place && !has_ranges(name))
        .map(|(place, name)| (place, name.clone()))
        .collect();
    let mut values = Ids::default();
    let mut viewers = vec![Vec::new(); numbers.users.ids.len()];
    while let Some(outcome) = table.advance() {
        let line = outcome.map_err(|fault| at_fault(path, &fault))?;
        let user = id(table.cell(user_place).trim()).map_err(|detail| at_line(path, line, detail))?;
        // Of viewers who are in no log nothing needs to be known.
        let Some(user) = numbers.users.get(user) else {
            continue;
        };
        let known = columns.iter().filter_map(|(place, name)| {
            let value = table.cell(*place).trim();
            (!value.is_empty()).then(|| values.number(&format!("{name}={value}")))
        });
        viewers[user as usize] = known.collect();
    }
    Ok(viewers)
}

fn read_histories(path: &Path, numbers: &mut Numbers) -> Result<Vec<WatchHistory>, ReadError> {
    let mut histories = Vec::new();
    read_table(path, HISTORY_COLUMNS, |[user, last, watched, liked, long_watched]| {
        let mut list = |text: &str| -> Vec<u32> {
            let videos = text.split_whitespace();
            videos.map(|video| numbers.videos.number(video)).collect()
        };
        let (watched, liked, long_watched) = (list(watched), list(liked), list(long_watched));
        histories.push(WatchHistory {
            user: numbers.users.number(id(user)?),
            last_at_ms: whole_number("last_time_ms", last)?,
            watched,
            liked,
            long_watched,
        });
        Ok(())
    })?;
    Ok(histories)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LOG_HEAD: &str = "\"user_id\",\"video_id\",\"date\",\"hourmin\",\"time_ms\",\"is_click\",\"is_like\",\
        \"is_follow\",\"is_comment\",\"is_forward\",\"is_hate\",\"long_view\",\"play_time_ms\",\"duration_ms\",\
        \"profile_stay_time\",\"comment_stay_time\",\"is_profile_enter\",\"is_rand\",\"tab\"\n";
    const VIDEO_HEAD: &str = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,\
        server_width,server_height,music_id,music_type,tag\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn a_log_with_videos_and_history_is_read_and_ordered() {
        let log = file(&format!(
            "{LOG_HEAD}10,8,20220425,1930,2000,1,0,0,0,0,0,1,61802,49866,0,7,0,0,1\n\
             9,7,20220425,0,2000,0,1,0,0,0,1,0,2999,11933,0,0,0,0,4\n"
        ));
        let videos = file(&format!(
            "{VIDEO_HEAD}7,55,NORMAL,1970-01-02,Kmovie,0.0,87433.0,720.0,1280.0,9,9.0,\"39,2\"\n"
        ));
        let history = file("user_id,last_time_ms,watched,liked,long_watched\n9,100,7 3,,3\n");
        let viewers = file("user_id,lives,days,days_range\n8,1,3,0-9\n9,city,3,0-9\n10,,3,0-9\n");
        let read = read(
            &[log.path().to_owned()],
            videos.path(),
            Some(history.path()),
            Some(viewers.path()),
        )
        .expect("a log");
        let [tenth, ninth] = read.catalogue.viewers.as_slice() else {
            panic!("two viewers: {:?}", read.catalogue.viewers);
        };
        assert_eq!((ninth.len(), tenth.as_slice()), (2, &ninth[1..]));
        assert_eq!(read.catalogue.user_ids, ["10", "9"]);
        assert_eq!(read.catalogue.item_ids, ["8", "7", "3"]);
        let (first, outcome) = read.impressions[0];
        assert_eq!(
            (first.user, first.item, first.day, first.hour, first.tab),
            (1, 1, 20_220_425, 0, 4)
        );
        assert_eq!(outcome.labels, [false, true, false, true]);
        assert_eq!(read.impressions[1].0.hour, 19);
        let video = &read.catalogue.videos[1];
        assert_eq!((video.tags.as_slice(), video.duration_ms), (&[39, 2][..], Some(87_433)));
        assert_eq!(video.uploaded_at_ms, Some(86_400_000));
        assert_eq!(read.watched_before[0].watched, [1, 2]);
        assert_eq!(read.watched_before[0].long_watched, [2]);
    }

    #[test]
    fn bad_lines_are_named() {
        let videos = file(VIDEO_HEAD);
        for (text, said) in [
            (
                "user_id,video_id\n1,2\n".to_owned(),
                ":1: the header has no column `time_ms`",
            ),
            (
                format!("{LOG_HEAD}1,2,20220425,0,soon,1,0,0,0,0,0,1,1,1,0,0,0,0,1\n"),
                ":2: time_ms: \"soon\"",
            ),
            (format!("{LOG_HEAD}1,2,20220425\n"), ":2: has 3 columns"),
            (LOG_HEAD.to_owned(), "no impressions in it"),
        ] {
            let log = file(&text);
            let error = read(&[log.path().to_owned()], videos.path(), None, None)
                .expect_err("bad")
                .to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
