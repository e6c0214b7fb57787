//! Tests of the readers: every format by small inline files, and properties of the way there and back.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use swipeline_models::event::{ContextValue, Signal};
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use swipeline_models::time::TimestampMs;

use super::*;

const NOW: TimestampMs = TimestampMs(1_800_000_000_000);

fn at_now() -> Reading {
    Reading {
        now: NOW,
        ..Reading::default()
    }
}

/// A file in a folder of its own.
struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn fixture(name: &str, bytes: &[u8]) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    Fixture { _folder: folder, path }
}

fn try_open(file: &Fixture, entity: Entity, format: Format) -> Result<RecordReader, OpenError> {
    open(
        &InputFile::Path(file.path.clone()),
        entity,
        format,
        &at_now(),
        &BytesRead::default(),
    )
}

fn read(bytes: impl AsRef<[u8]>, entity: Entity, format: Format) -> Vec<Result<Row, String>> {
    let file = fixture("data", bytes.as_ref());
    let reader = try_open(&file, entity, format).expect("opens");
    reader
        .map(|outcome| outcome.map_err(|fault| fault.to_string()))
        .collect()
}

fn open_error(text: &str, entity: Entity, format: Format) -> String {
    let file = fixture("data", text.as_bytes());
    try_open(&file, entity, format).err().expect("is refused").to_string()
}

fn items(rows: Vec<Result<Row, String>>) -> Vec<(u64, Item)> {
    let item = |row: Row| match row.record {
        Record::Item(item) => (row.line, item),
        Record::User(_) | Record::Event(_) => panic!("not an item"),
    };
    rows.into_iter().map(|row| item(row.expect("a good line"))).collect()
}

fn events(rows: Vec<Result<Row, String>>) -> Vec<(u64, Event)> {
    let event = |row: Row| match row.record {
        Record::Event(event) => (row.line, event),
        Record::User(_) | Record::Item(_) => panic!("not an event"),
    };
    rows.into_iter().map(|row| event(row.expect("a good line"))).collect()
}

fn users(rows: Vec<Result<Row, String>>) -> Vec<User> {
    let user = |row: Row| match row.record {
        Record::User(user) => user,
        Record::Event(_) | Record::Item(_) => panic!("not a user"),
    };
    rows.into_iter().map(|row| user(row.expect("a good line"))).collect()
}

fn rejects(rows: &[Result<Row, String>]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| row.as_ref().err())
        .map(String::as_str)
        .collect()
}

#[test]
fn jsonl_reports_every_bad_line_with_its_number_and_code() {
    let text = "{\"id\":\"v1\",\"tags\":[\"a\"]}\n\n{\"id\":\n{\"id\":[7]}\n{\"id\":\"\"}\n\u{feff}!\n{\"id\":\"v2\",\"embedding\":[1,2]}";
    let rows = read(text, Entity::Items, Format::Jsonl);
    let bad = rejects(&rows);
    assert!(
        bad[0].starts_with("line 3: ") && bad[0].contains("malformed_json"),
        "{bad:?}"
    );
    assert!(
        bad[1].starts_with("line 4: ") && bad[1].contains("wrong_shape"),
        "{bad:?}"
    );
    assert!(bad[2].starts_with("line 5: ") && bad[2].contains("id_empty"), "{bad:?}");
    assert!(bad[3].starts_with("line 6: "), "{bad:?}");
    let good = items(rows.into_iter().filter(Result::is_ok).collect());
    assert_eq!(
        good.iter()
            .map(|(line, item)| (*line, item.id.as_str()))
            .collect::<Vec<_>>(),
        [(1, "v1"), (7, "v2")]
    );
    assert_eq!(good[0].1.created_at, NOW);
}

#[test]
fn jsonl_lines_that_are_not_utf8_are_rejected() {
    let rows = read(b"{\"id\":\"caf\xe9\"}\n{\"id\":\"v\"}\n", Entity::Items, Format::Jsonl);
    assert!(rejects(&rows)[0].contains("not_utf8"));
    assert!(rows[1].is_ok());
}

#[test]
fn gzip_is_seen_by_its_first_bytes_and_may_have_several_members() {
    let zip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("zips");
        encoder.finish().expect("zips")
    };
    let bytes = [zip("{\"id\":\"v1\"}\n"), zip("{\"id\":\"v2\"}\n")].concat();
    assert_eq!(items(read(&bytes, Entity::Items, Format::Jsonl)).len(), 2);
    let torn = read(&bytes[..bytes.len() - 12], Entity::Items, Format::Jsonl);
    assert!(
        torn.last()
            .expect("rows")
            .as_ref()
            .is_err_and(|text| text.contains("cannot be read after line"))
    );
}

#[test]
fn csv_cells_become_the_fields_of_the_api() {
    let text = "id,title,categories,tags,created_at,embedding,hidden,attributes.lang,attributes.code,attributes.n\n\
                v1,\"Cats, again\",pets|fun,a|b,2026-01-31,0.5 -1,true,en,007,2.5\nv2,,,,,,,,,\n";
    let read = items(read(text, Entity::Items, Format::Csv));
    let first = &read[0].1;
    assert_eq!(first.title.as_deref(), Some("Cats, again"));
    assert_eq!(first.categories, ["pets", "fun"]);
    assert_eq!(first.embedding.as_deref(), Some([0.5, -1.0].as_slice()));
    assert_eq!(first.created_at.0, 1_769_817_600_000);
    assert!(first.hidden);
    assert_eq!(first.attributes["code"], ContextValue::Text("007".to_owned()));
    assert_eq!(first.attributes["n"], ContextValue::Number(2.5));
    assert_eq!(
        read[1].1,
        items(self::read("{\"id\":\"v2\"}", Entity::Items, Format::Jsonl))
            .remove(0)
            .1
    );
}

#[test]
fn csv_errors_name_line_and_column() {
    let text = "user_id,item_id,type,at,watch_ms\nu,v,like,5,\nu,v,love,5,\nu,v,view,5,long\nu,v,view,soon,1\n";
    let rows = read(text, Entity::Events, Format::Csv);
    let bad = rejects(&rows);
    assert!(
        bad[0].starts_with("line 3: type: ") && bad[0].contains("unknown_type"),
        "{bad:?}"
    );
    assert!(bad[1].starts_with("line 4: column `watch_ms`: "), "{bad:?}");
    assert!(
        bad[2].starts_with("line 5: column `at`: ") && bad[2].contains("not_a_time"),
        "{bad:?}"
    );
}

#[test]
fn csv_headers_are_checked_at_once() {
    assert!(open_error("id,titel\n", Entity::Items, Format::Csv).contains("unknown column `titel`"));
    assert!(open_error("user_id,type\n", Entity::Events, Format::Csv).contains("`item_id` is needed"));
}

#[test]
fn movielens_ratings_read_the_same_from_all_their_forms() {
    let forms = [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t881250949\n1\t11\t3\t881250950\n2\t10\t1\t881250951\n",
        "1\t10\t4\t881250949\n1\t11\t3\t881250950\n2\t10\t1\t881250951\n",
        "1::10::4::881250949\n1::11::3::881250950\n2::10::1::881250951\n",
        "userId,movieId,rating,timestamp\n1,10,4.0,881250949\n1,11,3.5,881250950\n2,10,0.5,881250951\n",
    ];
    for text in forms {
        let events: Vec<Event> = events(read(text, Entity::Events, Format::Movielens))
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        assert_eq!(
            events.iter().map(|event| event.signal).collect::<Vec<_>>(),
            [Signal::Like, Signal::View, Signal::Dislike]
        );
        assert_eq!(
            events[0].event_id.as_ref().map(|id| id.as_str()),
            Some("ml:1:10:881250949")
        );
        assert_eq!(events[0].at.0, 881_250_949_000);
    }
}

#[test]
fn movielens_films_read_the_same_from_all_their_forms() {
    let flags = "0|1|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0";
    let latin1: Vec<u8> = format!("5|Les Mis\u{e9}rables (1995)|01-Jan-1995||http://x|{flags}\n")
        .chars()
        .map(|c| c as u8)
        .collect();
    let forms: [Vec<u8>; 4] = [
        latin1,
        "5::Les Misérables (1995)::Action|Comedy\n".into(),
        "movieId,title,genres\n5,Les Misérables (1995),Action|Comedy\n".into(),
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n5\tLes Misérables\t1995\tAction Comedy\n".into(),
    ];
    let mut read_items = forms
        .map(|bytes| items(read(&bytes, Entity::Items, Format::Movielens)).remove(0).1)
        .into_iter();
    let first = read_items.next().expect("one");
    assert_eq!(first.title.as_deref(), Some("Les Misérables"));
    assert_eq!(first.categories, ["Action", "Comedy"]);
    assert_eq!(first.created_at.0, 788_918_400_000);
    assert!(read_items.all(|item| item == first));
}

#[test]
fn movielens_users_read_the_same_from_all_their_forms() {
    let forms = [
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\ttechnician\t85711\n",
        "1|24|M|technician|85711\n",
        "1::M::24::technician::85711\n",
    ];
    let read = forms.map(|text| users(read(text, Entity::Users, Format::Movielens)).remove(0));
    assert_eq!(read[0].attributes["age"], ContextValue::Number(24.0));
    assert!(read.iter().all(|user| *user == read[0]));
}

#[test]
fn movielens_files_of_another_entity_are_refused_by_name() {
    let error = open_error("1\t10\t4\t881250949\n", Entity::Items, Format::Movielens);
    assert!(error.contains("holds events, not items"), "{error}");
    let error = open_error("item_id:token\tclass:token_seq\n", Entity::Users, Format::Movielens);
    assert!(error.contains("holds items, not users"), "{error}");
    assert!(open_error("hello world\n", Entity::Items, Format::Movielens).contains("no known form"));
    assert!(open_error("", Entity::Items, Format::Movielens).contains("empty"));
}

const KUAIRAND_HEAD: &str = "\"user_id\",\"video_id\",\"date\",\"hourmin\",\"time_ms\",\"is_click\",\"is_like\",\"is_follow\",\
    \"is_comment\",\"is_forward\",\"is_hate\",\"long_view\",\"play_time_ms\",\"duration_ms\"\n";

#[test]
fn a_kuairand_row_becomes_one_event_per_signal() {
    let text = format!(
        "{KUAIRAND_HEAD}7,9,20220425,0,1650812741436,1,1,0,0,1,0,1,61802,49866\n7,8,20220425,0,1650812741500,0,0,0,0,0,1,0,1184,11933\n7,8,x,0,soon,0,0,0,0,0,1,0,1,1\n"
    );
    let mut rows = read(text, Entity::Events, Format::Kuairand);
    let bad = rows.pop().expect("rows").expect_err("a bad time");
    assert!(bad.starts_with("line 4: column `time_ms`"), "{bad}");
    let events = events(rows);
    let said: Vec<_> = events.iter().map(|(line, event)| (*line, event.signal)).collect();
    use Signal::{Complete, Dislike, Impression, Like, Share, Skip, View};
    assert_eq!(
        said,
        [
            (2, Impression),
            (2, View),
            (2, Like),
            (2, Share),
            (2, Complete),
            (3, Impression),
            (3, Skip),
            (3, Dislike)
        ]
    );
    assert_eq!(events[1].1.watch_ms, Some(61_802));
    assert_eq!(
        events[1].1.event_id.as_ref().map(|id| id.as_str()),
        Some("kr:7:9:1650812741436:view")
    );
}

#[test]
fn kuairand_videos_and_users_are_read() {
    let text = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,music_id,music_type,tag\n\
        0,7349781,NORMAL,2022-04-10,LongImport,0.0,87433.0,720.0,1280.0,9155697141,9.0,\"39,12\"\n1,5,AD,2022-04-10,Web,0.0,,,,,,\n";
    let read_items = items(read(text, Entity::Items, Format::Kuairand));
    let video = &read_items[0].1;
    assert_eq!(
        (video.categories.as_slice(), video.tags.as_slice()),
        (
            ["tag:39".to_owned()].as_slice(),
            ["tag:39".to_owned(), "tag:12".to_owned()].as_slice()
        )
    );
    assert_eq!(video.duration_ms, Some(87_433));
    assert_eq!(video.attributes["server_width"], ContextValue::Number(720.0));
    assert_eq!(read_items[1].1.categories, ["ad"]);
    let text = "user_id,user_active_degree,follow_user_num_range,onehot_feat4\n3,full_active,\"(250,500]\",\n";
    let user = users(read(text, Entity::Users, Format::Kuairand)).remove(0);
    assert_eq!(user.attributes.len(), 2);
    assert!(open_error(text, Entity::Items, Format::Kuairand).contains("`video_id`"));
}

#[test]
fn a_format_is_guessed_from_the_name() {
    let check = |name: &str, expected| assert_eq!(Format::of_name(Path::new(name)), expected, "{name}");
    check("a/events.jsonl.gz", Some(Format::Jsonl));
    check("u.data", Some(Format::Movielens));
    check("ml-100k.inter", Some(Format::Movielens));
    check("log_standard_4_25.csv.gz", Some(Format::Kuairand));
    check("things.csv", Some(Format::Csv));
    check("-", None);
}

fn id() -> impl Strategy<Value = String> {
    "[a-zé0-9:_ \"\\\\/-]{1,20}"
}

fn attributes() -> impl Strategy<Value = Option<BTreeMap<String, ContextValue>>> {
    let value = prop_oneof![
        any::<bool>().prop_map(ContextValue::Flag),
        // Sixty-fourths: serde_json reads every number to the last bit or the one beside it.
        (-1_000_000_000i32..1_000_000_000).prop_map(|number| ContextValue::Number(f64::from(number) / 64.0)),
        ".{0,10}".prop_map(ContextValue::Text),
    ];
    let map = proptest::collection::btree_map(id(), value, 1..4);
    proptest::option::of(map)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_exported_is_imported_again(
        ids in proptest::collection::vec(id(), 1..8),
        text in proptest::option::of(".{0,20}"),
        embedding in proptest::option::of(proptest::collection::vec(0.1f32..10.0, 1..5)),
        attributes in attributes(),
        at in 0i64..1_700_000_000_000,
        zipped in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |entity: &str| folder.path().join(format!("{entity}.jsonl{}", if zipped { ".gz" } else { "" }));
        let items: Vec<Item> = ids.iter().map(|id| ItemDto {
            id: id.clone(), title: text.clone(), tags: Some(ids.clone()), embedding: embedding.clone(),
            created_at: Some(at), attributes: attributes.clone(), ..ItemDto::default()
        }.into_item(NOW).expect("valid")).collect();
        let users: Vec<User> = ids.iter().map(|id| UserDto {
            id: id.clone(), follows: Some(ids.clone()), registered_at: Some(at), attributes: attributes.clone(), ..UserDto::default()
        }.into_user().expect("valid")).collect();
        let events: Vec<Event> = ids.iter().map(|id| EventDto {
            user_id: Some(id.clone()), item_id: id.clone(), kind: "view".to_owned(), at: Some(at), watch_ms: Some(at % 1000),
            context: attributes.clone(), ..EventDto::default()
        }.into_event(None, NOW).expect("valid")).collect();
        let mut writer = JsonlWriter::create(&name("items")).expect("created");
        items.iter().for_each(|item| writer.write(&ItemDto::from(item)).expect("written"));
        writer.finish().expect("finished");
        let mut writer = JsonlWriter::create(&name("users")).expect("created");
        users.iter().for_each(|user| writer.write(&UserDto::from(user)).expect("written"));
        writer.finish().expect("finished");
        let mut writer = JsonlWriter::create(&name("events")).expect("created");
        events.iter().for_each(|event| writer.write(&EventDto::from(event)).expect("written"));
        writer.finish().expect("finished");

        let back = |entity| -> Vec<Record> {
            let inputs = expand(&[folder.path().to_owned()], entity, Format::Jsonl).expect("found");
            assert_eq!(inputs.len(), 1);
            let reader = open(&inputs[0], entity, Format::Jsonl, &Reading::exact(NOW), &BytesRead::default()).expect("opens");
            reader.map(|row| row.expect("a good line").record).collect()
        };
        prop_assert_eq!(back(Entity::Items), items.into_iter().map(Record::Item).collect::<Vec<_>>());
        prop_assert_eq!(back(Entity::Users), users.into_iter().map(Record::User).collect::<Vec<_>>());
        prop_assert_eq!(back(Entity::Events), events.into_iter().map(Record::Event).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_lose_count(
        head in 0usize..6,
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"\"\n,|\t:1{}".to_vec())], 0..400),
    ) {
        let heads: [(&str, Entity, Format); 6] = [
            ("", Entity::Events, Format::Jsonl),
            ("id,title,embedding\n", Entity::Items, Format::Csv),
            (KUAIRAND_HEAD, Entity::Events, Format::Kuairand),
            ("1::2::3::4\n", Entity::Events, Format::Movielens),
            ("movieId,title,genres\n", Entity::Items, Format::Movielens),
            ("user_id:token\tage:token\n", Entity::Users, Format::Movielens),
        ];
        let (head, entity, format) = heads[head];
        let whole = [head.as_bytes(), &bytes].concat();
        let line_count = whole.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
        let file = fixture("data", &whole);
        let mut line_last = 0;
        for outcome in try_open(&file, entity, format).into_iter().flatten() {
            let line = match outcome {
                Ok(row) => row.line,
                Err(Fault::Rejected(reject)) => reject.line,
                Err(Fault::Broken { line, .. }) => line,
            };
            prop_assert!(line >= line_last && line <= line_count, "line {} after {} of {}", line, line_last, line_count);
            line_last = line;
        }
    }
}
