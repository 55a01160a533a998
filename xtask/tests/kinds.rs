//! The README's table of the kinds of session names the tests that show its rows, and SECURITY.md those of what it says.

// Tests say what they expect by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The names in the comments of the table's rows, row by row.
fn named(readme: &str) -> Vec<Vec<&str>> {
    let (_, section) = readme.split_once("\n## Which kind of session\n").expect("the section");
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    let names = rows.map(|row| {
        let comment = row.split_once("<!-- ").and_then(|(_, rest)| rest.split_once(" -->"));
        comment.unwrap_or_else(|| panic!("which tests show it? {row}")).0.split(", ").collect()
    });
    names.collect()
}

/// The files of a test area: one, or a folder of them.
fn files(area: &str) -> Vec<PathBuf> {
    let tests = checkout().join("tests");
    match fs::read_dir(tests.join(area)) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => vec![tests.join(format!("{area}.rs"))],
    }
}

/// By `area::test` or `area::file::test`.
fn is_there(name: &str) -> bool {
    let (area, test) = (name.split("::").next().unwrap(), name.rsplit("::").next().unwrap());
    let test = format!("#[test]\nfn {test}() {{");
    files(area).iter().any(|file| fs::read_to_string(file).unwrap().contains(&test))
}

/// Show that each row names tests, and that they are there. What a session costs the bench measures.
#[test]
fn each_row_is_shown_by_tests() {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let rows = named(&readme);
    assert!(rows.len() > 9, "{rows:?}");
    for name in rows.concat() {
        assert!(name == "bench" || is_there(name), "no such test: {name}");
    }
}

/// Show that the tests that SECURITY.md names are there.
#[test]
fn what_is_said_of_security_is_shown_by_tests() {
    let text = fs::read_to_string(checkout().join("SECURITY.md")).unwrap();
    // Every other piece is code.
    let code = text.split('`').skip(1).step_by(2);
    let names: Vec<_> = code.filter(|code| code.contains("::")).collect();
    assert!(names.len() > 9, "{names:?}");
    for name in names {
        assert!(is_there(name), "no such test: {name}");
    }
}

/// Show that a test that is not there would be found.
#[test]
fn a_test_that_is_gone_is_missed() {
    assert!(is_there("own::a_session_is_in_its_job"));
    assert!(!is_there("own::a_session_is_in_its_jo") && !is_there("core::a_session_is_in_its_job"));
}
