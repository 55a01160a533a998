//! How many checks passed, and cargo's own count of tests.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::mem;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::times::{Stopwatch, Timed};
use crate::progress::Step;
use crate::{interrupt, process};

/// The counts of a test run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

/// What a run of cargo's came to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counted {
    pub(crate) tally: Tally,
    /// Why tests were skipped, in their own words.
    pub(crate) reasons: Vec<String>,
}

/// The same, and what it took.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) counted: Counted,
    /// Those that libtest gave a line of their own.
    pub(crate) tests: Vec<Timed>,
    /// With what cargo compiled for it.
    pub(crate) took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(out, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Tally {
    /// Counts one check; a Ctrl-C is no failure but the end.
    pub(crate) fn check(&mut self, what: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let step = Step::start(what);
        match check() {
            Ok(()) => {
                step.done();
                self.passed += 1;
            }
            Err(error) => {
                drop(step);
                interrupt::check()?;
                self.fail(what, &error);
            }
        }
        Ok(())
    }

    pub(crate) fn fail(&mut self, what: &str, error: &anyhow::Error) {
        println!("FAILED: {what}: {error:#}");
        self.failed += 1;
    }

    pub(crate) fn skip(&mut self, what: &str, reason: &str) {
        println!("skipped: {what}: {reason}");
        self.skipped += 1;
    }

    /// Runs `cargo test`, shows what it prints, each line begun with `whose`, and adds what it counts. A run
    /// that fails without a failed test, say in the compiler, is a failure too.
    pub(crate) fn cargo_test(
        &mut self,
        whose: &'static str,
        command: &mut Command,
        timeout: Duration,
    ) -> Result<Ran> {
        let began = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = process::spawn(command)?;
        let stdout = child.stdout.take().context("cargo's output is piped")?;
        let counting = thread::spawn(move || count(whose, stdout));
        let status = process::finish(&mut child, timeout);
        let (mut counted, tests) = counting.join().unwrap_or_default();
        interrupt::check()?;
        match status {
            Ok(status) if !status.success() && counted.tally.failed == 0 => {
                counted.tally.fail("cargo test", &anyhow::anyhow!("{status}"));
            }
            Ok(_) => {}
            Err(error) => counted.tally.fail("cargo test", &error),
        }
        self.add(counted.tally);
        Ok(Ran { counted, tests, took: began.elapsed() })
    }

    /// How many there were, whatever they came to.
    pub(crate) fn all(self) -> u32 {
        self.passed + self.failed + self.skipped
    }

    /// What is run again does not count.
    pub(crate) fn take_back(&mut self, less: Self) {
        self.passed -= less.passed;
        self.failed -= less.failed;
        self.skipped -= less.skipped;
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

fn count(whose: &str, output: impl Read) -> (Counted, Vec<Timed>) {
    let (mut reader, mut watch) = (Reader::default(), Stopwatch::default());
    let began = Instant::now();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        watch.read(&line, began.elapsed());
        if reader.read(&line) {
            println!("{whose}{line}");
        }
    }
    (reader.counted, watch.tests())
}

impl Counted {
    pub(crate) fn is_nothing(&self) -> bool {
        self.tally == Tally::default()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.tally.add(more.tally);
        self.reasons.extend(more.reasons);
    }
}

/// Reads what cargo and libtest print.
#[derive(Default)]
struct Reader {
    counted: Counted,
    /// The lines are the output of tests that passed, which `--show-output` gives after all of them.
    is_in_output: bool,
    /// How many of these say that they were skipped.
    skipped: u32,
}

impl Reader {
    /// Counts, and says whether the line is to be shown.
    fn read(&mut self, line: &str) -> bool {
        if let Some(result) = result_of(line) {
            let Tally { passed, failed, skipped } = result;
            let said = mem::take(&mut self.skipped);
            let (passed, skipped) = (passed.saturating_sub(said), skipped + said);
            self.counted.tally.add(Tally { passed, failed, skipped });
        }
        self.is_in_output = match line {
            "successes:" => true,
            "failures:" => false,
            _ => self.is_in_output && !line.starts_with("test result: "),
        };
        !self.is_in_output || self.reads_reason(line)
    }

    fn reads_reason(&mut self, line: &str) -> bool {
        let Some(reason) = line.strip_prefix("skipped: ") else { return false };
        self.counted.reasons.push(reason.to_owned());
        self.skipped += 1;
        true
    }
}

/// `test result: ok. 8 passed; 0 failed; 0 ignored; …`
fn result_of(line: &str) -> Option<Tally> {
    let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers = counts.split("; ").map(|count| count.split(' ').next()?.parse().ok());
    let (passed, failed, skipped) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(Tally { passed, failed, skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Duration = Duration::from_secs(30);

    /// Show that cargo's counts are read and other lines are not.
    #[test]
    fn reads_what_cargo_counts() {
        let line = "test result: FAILED. 6 passed; 5 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(result_of(line), Some(Tally { passed: 6, failed: 5, skipped: 1 }));
        assert_eq!(result_of("test result_is_read ... ok"), None);
        assert_eq!(result_of("running 3 tests"), None);
    }

    /// Show that a test that says so at its end is skipped and not passed, and that nothing else that
    /// tests print counts, or is shown.
    #[test]
    fn a_test_can_say_that_it_was_skipped() {
        let mut reader = Reader::default();
        let shown = "running 3 tests\ntest old ... ok\n\nsuccesses:\n\n---- old stdout ----\n\
            any line\nskipped: Podman is old\n\n\nsuccesses:\n    new\n    old\n\nfailures:\n\
            ---- bad stdout ----\nskipped: half\n\nfailures:\n    bad\n\n\
            test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"
            .lines()
            .filter(|line| reader.read(line))
            .collect::<Vec<_>>();
        assert_eq!(reader.counted.tally, Tally { passed: 1, failed: 1, skipped: 1 });
        assert_eq!(reader.counted.reasons, ["Podman is old"]);
        assert!(shown.contains(&"skipped: Podman is old") && shown.contains(&"    bad"));
        assert!(!shown.contains(&"any line") && !shown.contains(&"    new"), "{shown:?}");
    }

    /// Show the closing line that CI reads.
    #[test]
    fn closes_with_the_usual_line() {
        let tally = Tally { passed: 3, failed: 0, skipped: 1 };
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 1 skipped");
    }

    /// Show that a test's time is measured as its lines come, and that a run has that and the compiler's.
    #[test]
    fn a_run_tells_what_each_test_took() {
        let script = "sleep 0.2; echo running 2 tests; sleep 0.4; echo test slow ... ok; \
            echo test quick ... FAILED; echo; echo failures:; echo; \
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out'";
        let mut tally = Tally::default();
        let mut command = Command::new("sh");
        let ran = tally.cargo_test("[fake] ", command.args(["-c", script]), SHELL).unwrap();
        assert_eq!(tally, Tally { passed: 1, failed: 1, skipped: 0 });
        let [slow, quick] = ran.tests.as_slice() else { panic!("{ran:?}") };
        assert!((slow.name.as_str(), slow.has_failed) == ("slow", false), "{ran:?}");
        assert!((quick.name.as_str(), quick.has_failed) == ("quick", true), "{ran:?}");
        assert!(slow.took > quick.took && ran.took > slow.took, "{ran:?}");
    }
}
