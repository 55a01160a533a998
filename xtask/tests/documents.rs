//! What the documents say of one another: links, the README's length, the newest version.

// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// More than that nobody reads before the first job.
const README: usize = 200;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// The documents of this checkout: those at its top, and those of docs/.
fn documents() -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let all = below(checkout().to_path_buf()).chain(below(checkout().join("docs")));
    all.filter(|file| file.extension().is_some_and(|ending| ending == "md")).collect()
}

/// Its lines but for those of the blocks that are to be copied.
fn prose(text: &str) -> Vec<&str> {
    let mut is_block = false;
    let mut keep = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    };
    text.lines().filter(|line| keep(line)).collect()
}

/// Where its links go that go to no other host.
fn links(text: &str) -> Vec<String> {
    let all = prose(text).join("\n");
    let ends = all.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    ends.filter(|link| !link.contains("://")).map(str::to_owned).collect()
}

/// A heading as a link names it: `## session=job` is `sessionjob`.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link in that document.
fn problem(document: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let to = match file {
        "" => document.to_path_buf(),
        file => document.parent().unwrap().join(file),
    };
    let is_there =
        to.exists() && (anchor.is_empty() || anchors(&text(&to)).contains(&anchor.into()));
    (!is_there).then(|| format!("{}: {link}", document.display()))
}

/// Show that each link leads to a file of this checkout, and to a heading in it.
#[test]
fn links_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 10, "{documents:?}");
    let mut wrong = Vec::new();
    for document in &documents {
        let links = links(&text(document));
        wrong.extend(links.iter().filter_map(|link| problem(document, link)));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Show that a link that leads nowhere is found, and that what stands in a block is none.
#[test]
fn a_link_to_nothing_is_found() {
    let readme = checkout().join("README.md");
    assert!(problem(&readme, "docs/limits.md#limits").is_none());
    for nowhere in ["docs/no-such-page.md", "docs/limits.md#no-such-heading", "#no-such-heading"] {
        assert!(problem(&readme, nowhere).is_some(), "{nowhere}");
    }
    assert_eq!(links("a [b](c.md#d)\n```\n[e](f)\n```\n[g](https://h)"), ["c.md#d"]);
    assert_eq!(anchors("## `session=job`, a word\n```\n# no\n```"), ["sessionjob-a-word"]);
}

/// Show that the README is as short as it is to be.
#[test]
fn the_readme_is_short() {
    let lines = text(&checkout().join("README.md")).lines().count();
    assert!(lines <= README, "{lines} lines");
}

/// Show that the newest version of the changelog is the one that is built.
#[test]
fn the_changelog_has_this_version() {
    let changelog = text(&checkout().join("CHANGELOG.md"));
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(' ').next(), Some(env!("CARGO_PKG_VERSION")), "{newest}");
}
