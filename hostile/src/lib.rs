//! What a parser may meet at worst, and a count of what it met.
// A test that cannot go on panics.
#![allow(clippy::expect_used, clippy::must_use_candidate, clippy::panic)]

mod grammar;
mod random;

pub use grammar::{Case, Grammar};
pub use random::Random;

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The cases of a full run: an optimised build, as `cargo xtask test` makes it.
pub const CASES: u64 = 10_000_000;
/// Of these, those of the package slurm-spank-linger.
pub const OF_PLUGIN: u64 = 2_000_000;
/// Of these, those of the package user-session.
pub const OF_SESSION: u64 = CASES - OF_PLUGIN;

/// A debug build runs one case of so many.
const DEBUG: u64 = 100;

/// And an ordinary run one of so many: not `cargo xtask test --all`.
const ORDINARY: u64 = 10;

/// Repeats a run that failed: the number that it printed.
const SEED: &str = "LINGER_HOSTILE_SEED";

/// No case may take longer. One may be looked at again, because a machine with
/// other work was seen to let a test wait for 2 s.
const SLOW: Duration = Duration::from_secs(1);
const LOOKS: u32 = 4;

/// No run may need more memory.
const MEMORY_KIB: u64 = 512 << 10;

/// A parser and what holds for it.
pub struct Parser {
    /// What it reads, for messages.
    pub name: &'static str,
    /// How many cases it gets in a full run.
    pub cases: u64,
    /// The texts that it accepts.
    pub grammar: Grammar,
    /// Asserts what holds for any input; answers whether something was read.
    pub holds: fn(&Case) -> bool,
}

/// Runs the cases of all `parsers`, which are `full` in a full run.
///
/// # Panics
/// When something does not hold; the input has then been printed.
pub fn run(parsers: &[Parser], full: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let seed = env::var(SEED).map_or(now, |seed| seed.parse().expect("a number"));
    let ran: u64 = parsers.iter().map(|parser| parser.run(seed)).sum();
    let peak = peak_kib();
    println!("hostile input: {ran} cases in all, {peak} KiB at most, {SEED}={seed}");
    assert_eq!(ran, in_this_build(full));
    assert!(peak < MEMORY_KIB, "{peak} KiB");
}

fn in_this_build(cases: u64) -> u64 {
    match env::var_os("LINGER_ALL") {
        _ if cfg!(debug_assertions) => cases / DEBUG,
        Some(_) => cases,
        None => cases / ORDINARY,
    }
}

impl Parser {
    fn run(&self, seed: u64) -> u64 {
        for sample in self.grammar.samples {
            assert!((self.holds)(&Case::new((*sample).into())), "{}: {sample}", self.name);
        }
        let mut random = Random::new(seed);
        let (mut ran, mut read) = (0, 0);
        let begin = Instant::now();
        while ran < in_this_build(self.cases) {
            let case = self.grammar.case(&mut random);
            let shown = Shown { parser: self.name, seed, case: &case };
            read += u64::from(self.holds_in_time(&case));
            drop(shown);
            ran += 1;
        }
        let (name, percent, took) = (self.name, read * 100 / ran.max(1), begin.elapsed());
        println!("hostile input: {ran} {name}, {percent} % read, {took:.1?}");
        // Else the cases show nothing about one of the two ways.
        assert!((2..=98).contains(&percent), "{name}: {percent} % read");
        ran
    }

    fn holds_in_time(&self, case: &Case) -> bool {
        for _ in 0..LOOKS {
            let before = Instant::now();
            let read = (self.holds)(case);
            if before.elapsed() < SLOW {
                return read;
            }
        }
        panic!("{LOOKS} times in a row it took more than {SLOW:?}");
    }
}

/// Prints the case that made a test fail.
struct Shown<'a> {
    parser: &'static str,
    seed: u64,
    case: &'a Case,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{SEED}={}: {}: {:?}", self.seed, self.parser, self.case);
        }
    }
}

/// The most memory that this process has had: VmHWM (proc_pid_status(5)).
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("a peak of memory")
}
