//! `swipeline selfcheck`: the story as told to a user must hold.

use crate::harness::swipeline;

#[test]
fn every_observation_of_the_story_is_as_promised() {
    let told = swipeline().arg("selfcheck").output().expect("the binary runs");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    println!("{text}");
    assert!(told.status.success(), "{text}");
    assert!(
        text.contains(", 0 failed") && text.matches("\nok ").count() >= 4,
        "{text}"
    );
}

#[test]
fn an_unknown_chapter_is_wrong_usage() {
    let told = swipeline()
        .args(["selfcheck", "--only", "epilogue"])
        .output()
        .expect("the binary runs");
    assert_eq!(told.status.code(), Some(2));
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        said.contains("unknown chapter `epilogue`; there are params, "),
        "{said}"
    );
}
