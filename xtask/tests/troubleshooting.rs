//! The troubleshooting guide names messages as the plugin writes them.

// Tests say what they expect by panicking.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// All of the plugin's sources, with strings that go on in the next line in one piece.
fn sources(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(&path).unwrap();
        }
    }
    all.lines().fold(String::new(), |text, line| match text.strip_suffix('\\') {
        Some(begun) => format!("{begun}{}", line.trim_start()),
        None => format!("{text}\n{line}"),
    })
}

/// The messages of ours among the headings.
fn messages(guide: &str) -> Vec<&str> {
    let headings = guide.lines().filter_map(|line| {
        let heading = line.strip_prefix("### ")?;
        let span = heading.strip_prefix("slurmd: ").unwrap_or(heading);
        span.strip_prefix('`')?.strip_suffix('`')
    });
    headings.collect()
}

/// What is written in capitals stands for what differs; a colon may join two messages.
fn fixed_parts(message: &str) -> Vec<String> {
    let is_name = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let marked = message
        .split_inclusive(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_name(bare) || bare == "N" { word.replacen(bare, "\0", 1) } else { word.into() }
        })
        .collect::<String>();
    let parts = marked.split('\0').flat_map(|part| part.split(": ")).map(str::to_owned);
    parts.filter(|part| part.trim().len() > 4).collect()
}

/// Show that each message in the guide is one of the sources'.
#[test]
fn the_guide_quotes_the_sources() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(checkout.join("docs/troubleshooting.md")).unwrap();
    let sources = ["src", "session/src"].map(|below| sources(&checkout.join(below))).concat();
    let messages = messages(&guide);
    assert!(messages.len() > 12, "{messages:?}");
    for message in messages {
        for part in fixed_parts(message) {
            assert!(sources.contains(part.trim()), "nobody writes {part:?} of {message:?}");
        }
    }
}

/// Show that a message that nobody writes would be found.
#[test]
fn parts_are_what_does_not_differ() {
    let parts = fixed_parts("start user@UID.service: it is STATE; no end after N s (timeout=N)");
    assert_eq!(parts, ["start user@", ".service", "it is ", "; no end after ", " s (timeout="]);
}
