//! A seed fixes everything.

use std::process::Command;

fn story(seed: &str) -> String {
    let played = Command::new(env!("CARGO_BIN_EXE_guichet-sim"))
        .args([seed, "--story"])
        .output()
        .expect("the world begins");
    let text = String::from_utf8(played.stdout).expect("words");
    assert!(played.status.success(), "{text}");
    let (story, _) = text.rsplit_once("1 seeds from").expect("its last line");
    story.to_owned()
}

#[test]
fn the_same_seed_takes_the_same_course_and_another_does_not() {
    let one = story("7");
    assert!(one.lines().count() > 20, "{one}");
    assert_eq!(one, story("7"));
    assert_ne!(one, story("8"));
}
