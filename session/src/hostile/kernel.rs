//! Texts of the kernel's, and the lists that follow them.

use std::path::{Component, Path, PathBuf};

use hostile_input::{Case, Grammar, Parser};

use crate::limits::{devices, read};
use crate::outside::audit;
use crate::outside::ipc;
use crate::outside::processes::{Process, name_in, pids};
use crate::terms::cpus::CpuSet;
use crate::terms::decimal::decimal;
use crate::terms::set::Set;

const NUMBERS: Grammar = Grammar {
    tokens: &["\n", "7\n", "4711\n", "4294967295\n", "+7\n", "max", "7.audit\n"],
    samples: &["7\n", "1\n22\n333\n4444\n", "4711\n4712\n2147483647\n"],
};

pub(super) const PARSERS: [Parser; 10] = [
    Parser {
        name: "lists of CPUs",
        cases: 500_000,
        grammar: Grammar {
            tokens: &["0", "7", "64", "-", ",", "\n", "0-8191", "8191", "0-4294967295", "3-1"],
            samples: &["0-3,8,10-11\n", "0", "0-1,4-5,8-9,12-13\n", "63-64,127,8190-8191"],
        },
        holds: cpu_list,
    },
    Parser {
        name: "masks of CPUs",
        cases: 200_000,
        grammar: Grammar { tokens: &["\u{1}", "@", "\0\0\0"], samples: &["\u{3}", "\u{f}\0~"] },
        holds: cpu_mask,
    },
    Parser {
        name: "limits",
        cases: 1_000_000,
        grammar: Grammar {
            tokens: &["max", "m", "9", "18446744073709551615"],
            samples: &["max", "0", "104857600", "18446744073709551615"],
        },
        holds: limit,
    },
    Parser {
        name: "cgroups of a job",
        cases: 1_000_000,
        grammar: Grammar {
            tokens: &["0::/", "slurmstepd.scope/", "job_1", "/", "/step_0", "\n", "../", "4:x:/"],
            samples: &[
                "0::/system.slice/slurmstepd.scope/job_7/step_extern/slurm\n",
                "4:memory:/slurm\n0::/n1_slurmstepd.scope/s379M7XY33FH00/step_0/user/task_0\n",
            ],
        },
        holds: job_in,
    },
    Parser { name: "lists of audit ids", cases: 600_000, grammar: NUMBERS, holds: audit_list },
    Parser { name: "lists of processes", cases: 500_000, grammar: NUMBERS, holds: process_list },
    Parser { name: "names of files", cases: 500_000, grammar: NUMBERS, holds: file_names },
    Parser {
        name: "names of processes",
        cases: 400_000,
        grammar: Grammar {
            tokens: &["podman", "\n", " ", "\u{9b}"],
            samples: &["sleep", "conmon"],
        },
        holds: process_name,
    },
    Parser {
        name: "tables of System V objects",
        cases: 500_000,
        grammar: Grammar {
            tokens: &["uid", " ", "\n", "1001", "key", "gid"],
            samples: &[
                "  key  shmid perms  size  cpid  lpid nattch   uid   gid\n    0      3   644  1000  4711  4711   0  1001  1001\n",
                "uid\n1001\n",
            ],
        },
        holds: table,
    },
    Parser {
        name: "lists of drivers",
        cases: 500_000,
        grammar: Grammar {
            tokens: &["Character devices:\n", "Block devices:\n", "  1 mem\n", "254", " ", "\n"],
            samples: &[
                "Character devices:\n  1 mem\n  4 tty\n136 pts\n\nBlock devices:\n254 virtblk\n",
            ],
        },
        holds: drivers,
    },
];

fn cpu_list(case: &Case) -> bool {
    match case.text.parse::<CpuSet>() {
        Ok(cpus) => is_kept(&cpus) && !cpus.is_empty(),
        Err(error) => {
            assert!(error.to_string().contains(&case.text));
            false
        }
    }
}

fn is_kept(cpus: &CpuSet) -> bool {
    assert_eq!(cpus.to_string().parse().as_ref(), Ok(cpus));
    let mask = cpus.to_mask();
    assert!(mask.len() <= 1024);
    assert_eq!(CpuSet::from_mask(&mask), *cpus);
    true
}

fn cpu_mask(case: &Case) -> bool {
    let cpus = CpuSet::from_mask(&case.bytes);
    let mask = cpus.to_mask();
    assert!(case.bytes.starts_with(&mask));
    assert!(case.bytes.iter().take(1024).skip(mask.len()).all(|byte| *byte == 0));
    is_kept(&cpus) && !cpus.is_empty()
}

fn limit(case: &Case) -> bool {
    match read::limit(Path::new("/sys/memory.max"), &case.text) {
        Ok(limit) => {
            assert_eq!(limit.map_or("max".into(), |limit| limit.to_string()), case.text);
            true
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("/sys/memory.max") && error.contains(&case.text), "{error}");
            false
        }
    }
}

fn job_in(case: &Case) -> bool {
    let Some(job) = read::job_in(&case.text) else { return false };
    assert!(case.text.contains(&format!("0::/{job}/")));
    let below_scope = job.rsplit_once("slurmstepd.scope/").map(|(_, name)| name);
    assert!(below_scope.is_some_and(|name| !name.is_empty() && !name.contains('/')), "{job}");
    assert!(Path::new(job).components().all(|part| matches!(part, Component::Normal(_))));
    true
}

fn has_line(case: &Case, line: &str) -> bool {
    case.text.split('\n').any(|has| has.trim_end_matches('\r') == line)
}

fn audit_list(case: &Case) -> bool {
    let ids = audit::list(&case.text);
    assert!(ids.iter().all(|id| *id != u32::MAX && has_line(case, &id.to_string())));
    let cut = case.text.get(..case.text.len() / 2).map(audit::list);
    assert!(cut.is_none_or(|cut| cut.iter().all(|id| ids.contains(id))));
    let alone = audit::parse(&case.text);
    assert!(alone.is_none_or(|id| id != u32::MAX && id.to_string() == case.text));
    !ids.is_empty()
}

fn process_list(case: &Case) -> bool {
    let pids = pids(&case.text);
    assert!(pids.iter().all(|pid| *pid > 0 && has_line(case, &pid.to_string())));
    !pids.is_empty()
}

fn file_names(case: &Case) -> bool {
    let names = || case.text.split('\n');
    let found: Set<u32> = names().filter_map(decimal).collect();
    assert!(found.iter().all(|number| has_line(case, &number.to_string())));
    let is_shown =
        |name: &&str| name.parse::<u32>().is_ok_and(|number| number.to_string() == **name);
    assert!(names().filter(is_shown).all(|name| found.contains(&name.parse().unwrap())));
    !found.is_empty()
}

fn process_name(case: &Case) -> bool {
    let name = name_in(&case.bytes);
    let is_plain = case.bytes.iter().all(u8::is_ascii_graphic);
    assert!(!is_plain || name == case.text);
    let cgroup = PathBuf::from(&case.text);
    let shown = Process { pid: 7, name: name.clone(), cgroup }.to_string();
    assert!(shown.starts_with("pid 7 (") && !shown.contains(char::is_control), "{shown:?}");
    is_plain
}

fn table(case: &Case) -> bool {
    let owns = ipc::owns_a_row(&case.text, 1001);
    let has_word = |line: &str, word| line.split_whitespace().any(|has| has == word);
    let mut lines = case.text.lines();
    let is_table = lines.next().is_some_and(|header| has_word(header, "uid"));
    assert!(!owns || is_table && lines.any(|row| has_word(row, "1001")));
    owns
}

fn drivers(case: &Case) -> bool {
    let rows = devices::drivers(&case.text);
    let kinds = |kind| match kind {
        devices::Kind::Char => "Character",
        devices::Kind::Block => "Block",
    };
    let row = |(kind, major, name): &_| format!("{} devices:\n{major:3} {name}\n", kinds(*kind));
    let again = rows.iter().map(row).collect::<String>();
    assert_eq!(devices::drivers(&again), rows);
    !rows.is_empty()
}
