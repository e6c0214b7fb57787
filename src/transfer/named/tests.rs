//! The data sets by small files made for the purpose.

use swipeline_models::event::Event;
use swipeline_models::item::Item;
use swipeline_models::user::User;

use super::super::{BytesRead, InputFile, Row, open};
use super::*;

fn try_read(text: &str, entity: Entity, format: Format) -> Result<Vec<Result<Row, String>>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    std::fs::write(&path, text).expect("written");
    let input = InputFile::Path(path);
    let reader = open(&input, entity, format, &Reading::default(), &BytesRead::default());
    let rows = reader.map_err(|error| error.to_string())?;
    Ok(rows.map(|row| row.map_err(|fault| fault.to_string())).collect())
}

fn records(text: &str, entity: Entity, format: Format) -> Vec<Record> {
    let rows = try_read(text, entity, format).expect("opens");
    rows.into_iter().map(|row| row.expect("a good line").record).collect()
}

fn events(text: &str, format: Format) -> Vec<(String, String, Signal, i64)> {
    let facts = |event: Event| {
        let (user, item) = (event.user.as_str().to_owned(), event.item.as_str().to_owned());
        (user, item, event.signal, event.at.0)
    };
    let only_event = |record| {
        if let Record::Event(event) = record {
            facts(event)
        } else {
            panic!("no event")
        }
    };
    records(text, Entity::Events, format)
        .into_iter()
        .map(only_event)
        .collect()
}

fn items(text: &str, format: Format) -> Vec<Item> {
    let only_item = |record| {
        if let Record::Item(item) = record {
            item
        } else {
            panic!("no item")
        }
    };
    records(text, Entity::Items, format)
        .into_iter()
        .map(only_item)
        .collect()
}

fn users(text: &str, format: Format) -> Vec<User> {
    let only_user = |record| {
        if let Record::User(user) = record {
            user
        } else {
            panic!("no user")
        }
    };
    records(text, Entity::Users, format)
        .into_iter()
        .map(only_user)
        .collect()
}

fn said(user: &str, item: &str, signal: Signal, at_ms: i64) -> (String, String, Signal, i64) {
    (user.to_owned(), item.to_owned(), signal, at_ms)
}

#[test]
fn retailrocket_is_read() {
    let text = "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n\
        1433221332118,257597,addtocart,355908,\n1433221332119,257597,transaction,355908,4000\n";
    assert_eq!(
        events(text, Format::Retailrocket),
        [
            said("257597", "355908", Signal::View, 1_433_221_332_117),
            said("257597", "355908", Signal::Favorite, 1_433_221_332_118),
            said("257597", "355908", Signal::Like, 1_433_221_332_119)
        ]
    );
    let text = "timestamp,itemid,property,value\n1435460400000,1,categoryid,10\n1435460400001,1,888,n12 x\n\
        1433041200000,1,categoryid,9\n1436000000000,1,categoryid,11\n";
    let found = items(text, Format::Retailrocket);
    let categories: Vec<_> = found.iter().map(|item| item.categories[0].to_string()).collect();
    assert_eq!(categories, ["category:10", "category:11"]);
    let refused = try_read("x\n", Entity::Users, Format::Retailrocket).expect_err("no users");
    assert!(refused.contains("has no users"), "{refused}");
    assert!(
        try_read("a,b\n", Entity::Events, Format::Retailrocket)
            .expect_err("other")
            .contains("`timestamp`")
    );
}

#[test]
fn yoochoose_is_read() {
    let clicks = "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n";
    assert_eq!(
        events(clicks, Format::Yoochoose),
        [
            said("1", "214536502", Signal::View, 1_396_867_869_277),
            said("1", "214536500", Signal::View, 1_396_868_049_868)
        ]
    );
    let buys = "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n";
    assert_eq!(
        events(buys, Format::Yoochoose),
        [said("420374", "214537888", Signal::Like, 1_396_809_898_314)]
    );
    assert!(try_read("1,2\n", Entity::Events, Format::Yoochoose).is_err());
    assert!(
        try_read(clicks, Entity::Items, Format::Yoochoose)
            .expect_err("none")
            .contains("--create-items")
    );
}

#[test]
fn lastfm_is_read() {
    let plays = "user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep Dish\t\tFuck \"Me\" Im Famous\n\
        user_000001\t2009-05-04T13:54:10Z\ta7f7\t坂本龍一\tt-2\tComposition 0919\n\
        user_000001\t2009-05-04T13:52:04Z\ta7f7\t坂本龍一\tt-2\tComposition 0919\n";
    let found = events(plays, Format::Lastfm);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].1, "Deep Dish - Fuck \"Me\" Im Famous");
    assert_eq!((found[1].1.as_str(), found[1].3), ("t-2", 1_241_445_250_000));
    let tracks = items(plays, Format::Lastfm);
    assert_eq!(tracks.len(), 2, "each track once");
    assert_eq!(tracks[1].title.as_deref(), Some("Composition 0919"));
    let profiles = "#id\tgender\tage\tcountry\tregistered\nuser_000001\tm\t\tJapan\tAug 13, 2006\n";
    let found = users(profiles, Format::Lastfm);
    assert_eq!((found.len(), found[0].attributes.len()), (1, 3));
    assert!(try_read(profiles, Entity::Events, Format::Lastfm).is_err());
}

#[test]
fn amazon_is_read_in_all_its_releases() {
    let like = said("AKJH", "B000000001", Signal::Like, 1_252_800_000_000);
    let forms = [
        r#"{"reviewerID":"AKJH","asin":"B000000001","overall":5.0,"reviewText":"x","unixReviewTime":1252800000}"#,
        r#"{"rating":4.0,"title":"x","user_id":"AKJH","asin":"B00000000X","parent_asin":"B000000001","timestamp":1252800000000}"#,
        "user_id,parent_asin,rating,timestamp\nAKJH,B000000001,5.0,1252800000000",
        "AKJH,B000000001,5.0,1252800000",
        "B000000001,AKJH,5.0,1252800000",
    ];
    for text in forms {
        assert_eq!(events(text, Format::Amazon), std::slice::from_ref(&like), "{text}");
    }
    assert!(try_read("a,b,5.0,1252800000\n", Entity::Events, Format::Amazon).is_err());
    let products = concat!(
        r#"{"asin":"B000000001","title":"Things","brand":"Maker","category":["Toys","Games","Toys"]}"#,
        "\n",
        r#"{"parent_asin":"B000000002","title":"More","store":"Shop","main_category":"Toys","categories":["Games"]}"#,
        "\n",
    );
    for item in items(products, Format::Amazon) {
        let categories: Vec<String> = item.categories.iter().map(ToString::to_string).collect();
        assert_eq!(categories, ["Toys", "Games"]);
        assert!(item.author.is_some());
    }
    let python = try_read("{'asin': 'B000000001'}\n", Entity::Items, Format::Amazon).expect("opens");
    assert!(python[0].as_ref().is_err_and(|text| text.contains("single quotes")));
}
