//! The host's apt sources: where the Debian archive is, for this host.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Names under which a release's own suite is listed, besides its code name.
const ALIASES: &[&str] = &["stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"];
/// For hosts that are not Debian, or whose sources say something unusual.
const OVERRIDE: &str = "LINGER_DEBIAN_MIRROR";

/// The Debian archive as this host reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    pub(crate) uri: String,
    /// A keyring file, if the host's sources name one.
    pub(crate) signed_by: Option<String>,
}

/// One entry of either format.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

impl Archive {
    /// The archive's main component: neither security, nor updates, nor third parties.
    pub(crate) fn of_host(codename: &str) -> Result<Self> {
        if let Ok(uri) = std::env::var(OVERRIDE) {
            return Ok(Self { uri, signed_by: None });
        }
        let apt = Path::new("/etc/apt");
        let mut entries =
            one_line(&fs::read_to_string(apt.join("sources.list")).unwrap_or_default());
        for (name, text) in files(&apt.join("sources.list.d"))? {
            entries.extend(if has_extension(&name, "sources") {
                deb822(&text)
            } else {
                one_line(&text)
            });
        }
        match choose(&entries, codename) {
            Some(archive) => Ok(archive),
            None => {
                bail!("the apt sources of this host have no Debian archive: set {OVERRIDE} to one")
            }
        }
    }
}

fn files(directory: &Path) -> Result<Vec<(String, String)>> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.to_string_lossy().into_owned();
        if has_extension(&name, "sources") || has_extension(&name, "list") {
            let text = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn choose(entries: &[Entry], codename: &str) -> Option<Archive> {
    let own = |suite: &String| suite == codename || ALIASES.contains(&suite.as_str());
    let entry = entries.iter().find(|entry| {
        entry.components.iter().any(|component| component == "main") && entry.suites.iter().any(own)
    })?;
    let uri = entry.uris.iter().find(|uri| uri.starts_with("http"))?;
    Some(Archive {
        uri: uri.trim_end_matches('/').to_owned(),
        signed_by: entry.signed_by.clone().filter(|key| key.starts_with('/')),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `deb [signed-by=…] URI SUITE COMPONENT…`, one a line.
fn one_line(text: &str) -> Vec<Entry> {
    text.lines().filter_map(one_entry).collect()
}

fn one_entry(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = words(options)
        .iter()
        .find_map(|option| option.strip_prefix("signed-by=").map(str::to_owned));
    let mut fields = words(rest).into_iter();
    let (uri, suite) = (fields.next()?, fields.next()?);
    Some(Entry { uris: vec![uri], suites: vec![suite], components: fields.collect(), signed_by })
}

/// Stanzas of `Field: value`, apart by empty lines.
fn deb822(text: &str) -> Vec<Entry> {
    let text = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let mut stanzas = vec![Vec::new()];
    for line in text.lines() {
        match stanzas.last_mut() {
            Some(stanza) if !line.trim().is_empty() => stanza.push(line),
            _ => stanzas.push(Vec::new()),
        }
    }
    stanzas.iter().filter_map(|stanza| stanza_entry(stanza)).collect()
}

fn stanza_entry(lines: &[&str]) -> Option<Entry> {
    let field = |name: &str| field_value(lines, name);
    let types = words(&field("types")?);
    let off = field("enabled")
        .is_some_and(|value| ["no", "false", "0"].contains(&value.to_lowercase().as_str()));
    (types.iter().any(|kind| kind == "deb") && !off).then(|| Entry {
        uris: words(&field("uris").unwrap_or_default()),
        suites: words(&field("suites").unwrap_or_default()),
        components: words(&field("components").unwrap_or_default()),
        signed_by: field("signed-by"),
    })
}

/// The value of a field, with the indented lines that continue it.
fn field_value(lines: &[&str], wanted: &str) -> Option<String> {
    let named = |line: &&str| {
        line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let at = lines.iter().position(named)?;
    let (first, more) = lines.get(at..)?.split_first()?;
    let (_, value) = first.split_once(':')?;
    let continued = more.iter().take_while(|line| line.starts_with([' ', '\t']));
    let parts = std::iter::once(value).chain(continued.copied()).map(str::trim);
    Some(parts.collect::<Vec<_>>().join(" ").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment inside
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
  bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";

    fn archive(uri: &str, signed_by: Option<&str>) -> Archive {
        Archive { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) }
    }

    #[test]
    fn the_archive_is_found_and_not_security() {
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        assert_eq!(
            choose(&deb822(DEB822), "bookworm"),
            Some(archive("http://mirror.example/debian", Some(keyring)))
        );
    }

    #[test]
    fn the_one_line_format_is_understood() {
        let text = "# deb http://old.example/debian bookworm main\n\
            deb-src http://mirror.example/debian bookworm main\n\
            deb http://third.example/apt tool-bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm main contrib # ours\n";
        assert_eq!(
            choose(&one_line(text), "bookworm"),
            Some(archive("https://mirror.example/debian", Some("/k.gpg")))
        );
    }

    #[test]
    fn a_host_that_follows_stable_has_an_archive_too() {
        let entries = one_line("deb http://mirror.example/debian stable main");
        assert_eq!(choose(&entries, "trixie"), Some(archive("http://mirror.example/debian", None)));
    }

    #[test]
    fn a_disabled_entry_and_one_without_main_are_no_archive() {
        let disabled = format!("Enabled: no\n{}", DEB822.split_once("\n\n").unwrap().1);
        assert_eq!(choose(&deb822(&disabled), "bookworm"), None);
        assert_eq!(
            choose(&one_line("deb http://mirror.example/debian bookworm contrib"), "bookworm"),
            None
        );
    }

    #[test]
    fn a_key_in_the_entry_itself_is_not_a_file() {
        let text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\
            Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
        assert_eq!(
            choose(&deb822(text), "trixie"),
            Some(archive("http://mirror.example/debian", None))
        );
    }
}
