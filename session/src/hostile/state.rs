//! State files, through the function that reads them.

use std::fmt::Debug;
use std::path::Path;

use hostile_input::{Case, Grammar, Parser};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::outside::files::{parse, text_of};
use crate::record::capped::Capped;
use crate::record::{Found, Lease, Undo, reads_noted};

pub(super) const PARSERS: [Parser; 5] = [
    Parser {
        name: "leases",
        cases: 1_200_000,
        grammar: Grammar {
            tokens: &[
                "{",
                "}",
                "[",
                "]",
                ":",
                ",",
                "\"",
                "null",
                "true",
                "{\"version\":1,",
                "\"version\":2",
                "\"version\":",
                "\"state\":",
                "\"open\"",
                "\"declined\"",
                "\"limits\":",
                "\"paused\"",
                "\"cpus\":\"0-4294967295\"",
                "\\ud800",
                "{\"a\":",
            ],
            samples: &[
                r#"{"version":1,"state":"open"}"#,
                r#"{"version":1,"state":"declined"}"#,
                r#"{"version":1,"state":"failed","cause":"no bus","told":false}"#,
                r#"{"version":1,"state":"open","limits":{"memory":104857600,"swap":0,"tasks":64,"cpus":"0-1,4","denied":[{"kind":"char","major":195,"minor":0}]}}"#,
            ],
        },
        holds: holds::<Lease>,
    },
    Parser {
        name: "records of linger",
        cases: 500_000,
        grammar: Grammar {
            tokens: &["{", "}", ":", ",", "\"", "\"version\":2", "\"name\":", "true", "null"],
            samples: &[r#"{"version":1,"name":"alice","linger_before":true}"#],
        },
        holds: holds::<Undo>,
    },
    Parser {
        name: "records of a capped slice",
        cases: 200_000,
        grammar: Grammar {
            tokens: &["{", "}", "[", "]", ",", "\"", "\"version\":2", "\"cpus\":\"\"", "[255]"],
            samples: &[
                r#"{"version":1,"before":{"memory_max":18446744073709551615,"memory_swap_max":0,"tasks_max":5000,"allowed_cpus":[1,2],"device_policy":"auto","device_allow":[["/dev/null","rwm"]]},"had_drop_in":["MemoryMax"],"wanted":{"memory":1},"set":{"cpus":"0-3"},"touched":["AllowedCPUs","DeviceAllow"],"done":true}"#,
            ],
        },
        holds: holds::<Capped>,
    },
    Parser {
        name: "notes of all limits",
        cases: 200_000,
        grammar: Grammar {
            tokens: &["{", "}", " ", "\n", "-", "0-3", "\"memory\":", "7", "18446744073709551615"],
            samples: &[
                "7 123 0-3 {\"memory\":1}\n12 124 - {\"memory\":1}\n",
                "7 123 - {}",
                "9 18446744073709551615 0 {\"denied\":[{\"kind\":\"char\",\"major\":4,\"minor\":60}]}",
            ],
        },
        holds: |case| reads_noted(&case.text),
    },
    Parser {
        name: "records of what was found",
        cases: 200_000,
        grammar: Grammar {
            tokens: &[
                "{",
                "}",
                "[",
                "]",
                ",",
                "\"",
                "\"version\":2",
                "\"a.scope\"",
                "\"cgroups\":",
            ],
            samples: &[
                r#"{"version":1,"cgroups":["","user@7.service","user@7.service/app.slice"]}"#,
                r#"{"version":1,"cgroups":[]}"#,
            ],
        },
        holds: holds::<Found>,
    },
];

fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(case: &Case) -> bool {
    let path = Path::new("/run/spank-linger/1000/7");
    let read = parse::<T>(path, &case.text);
    let version = other_version(&case.text);
    match read {
        Ok(read) => {
            assert_eq!(version, None);
            let text = text_of(&read).unwrap();
            let more = text.replacen('{', r#"{"of a later plugin":[{"a":null}],"#, 1);
            assert_eq!(parse::<T>(path, &text).unwrap(), read);
            assert_eq!(parse::<T>(path, &more).unwrap(), read);
            true
        }
        Err(error) => {
            let expected =
                version.map_or(String::new(), |version| format!("has version {version},"));
            let error = error.to_string();
            assert!(error.contains(&expected) && error.starts_with("/run/"), "{error}");
            false
        }
    }
}

/// The version that a file bears and we do not read. Where a key is there twice,
/// none is right.
fn other_version(text: &str) -> Option<u32> {
    let is_once = text.matches("\"version\"").count() == 1;
    let value: Value = is_once.then(|| serde_json::from_str(text).ok())??;
    let version = value.as_object()?.get("version")?.as_u64()?;
    u32::try_from(version).ok().filter(|version| *version != 1)
}
