//! Floors: an import goes down only, and so a reader can tell from a path what stands on what.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. What stands beside the folders has a floor of its own.
const FLOORS: [&str; 11] = [
    "terms", "outside", "limits", "record", "kind", "ending", "slice", "own", "shared", "status",
    "leases",
];

/// Those above everything: the crate's face, and what is for tests.
const ABOVE: [&str; 3] = ["lib", "hostile", "floors"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    entries.flat_map(of).collect()
}

fn floor(name: &str) -> usize {
    FLOORS.iter().position(|floor| *floor == name).unwrap_or_else(|| panic!("no floor: {name}"))
}

/// The floors that the code of a file names, but for its tests, each with its line.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().enumerate().flat_map(|(line, text)| {
        text.match_indices("crate::").filter_map(move |(at, word)| {
            let path = text.get(at + word.len()..)?;
            let name = path.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
            Some((line + 1, name))
        })
    })
}

/// Show that no file names one on a floor above its own.
#[test]
fn an_import_goes_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for file in sources(&root) {
        let below = file.strip_prefix(&root).unwrap().with_extension("");
        let mut parts = below.iter().map(|part| part.to_str().unwrap());
        let own = parts.next().unwrap();
        if ABOVE.contains(&own) || parts.any(|part| part == "tests" || part == "fake") {
            continue;
        }
        for (line, name) in named(&fs::read_to_string(&file).unwrap()) {
            let place = format!("{}:{line}, on floor {own}", file.display());
            assert!(!name.is_empty(), "{place}: imports in braces hide their floor");
            assert!(floor(name) <= floor(own), "{place}: imports from floor {name}, above it");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} imports");
}

/// Show that a job's life knows of no kind of session but through one file.
#[test]
fn one_place_names_the_kinds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&root.join("leases")).into_iter().chain([root.join("leases.rs")]) {
        let text = fs::read_to_string(&file).unwrap();
        let is_named = named(&text).any(|(_, name)| name == "shared");
        assert_eq!(is_named, file.ends_with("leases/kinds.rs"), "{}", file.display());
    }
}

/// Show that an import of what is above would be found, and one in tests is not.
#[test]
fn what_is_named_is_found() {
    let text = "use crate::leases::take;\nfn a() { crate::terms::b() }\n#[cfg(test)]\nmod tests {\n\
                use crate::outside::c;\n}";
    assert_eq!(named(text).collect::<Vec<_>>(), [(1, "leases"), (2, "terms")]);
}
