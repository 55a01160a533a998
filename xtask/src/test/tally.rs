//! How many checks passed, and cargo's own count of tests.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::{interrupt, process};

/// The counts of a test run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
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
    ) -> Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = process::spawn(command)?;
        let stdout = child.stdout.take().context("cargo's output is piped")?;
        let counting = thread::spawn(move || count(whose, stdout));
        let status = process::finish(&mut child, timeout);
        let counted = counting.join().unwrap_or_default();
        self.add(counted);
        interrupt::check()?;
        match status {
            Ok(status) if !status.success() && counted.failed == 0 => {
                self.fail("cargo test", &anyhow::anyhow!("{status}"));
            }
            Ok(_) => {}
            Err(error) => self.fail("cargo test", &error),
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

fn count(whose: &str, output: impl Read) -> Tally {
    let mut tally = Tally::default();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        tally.add(result_of(&line).unwrap_or_default());
        println!("{whose}{line}");
    }
    tally
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

    /// Show that cargo's counts are read and other lines are not.
    #[test]
    fn reads_what_cargo_counts() {
        let line = "test result: FAILED. 6 passed; 5 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(result_of(line), Some(Tally { passed: 6, failed: 5, skipped: 1 }));
        assert_eq!(result_of("test result_is_read ... ok"), None);
        assert_eq!(result_of("running 3 tests"), None);
    }

    /// Show the closing line that CI reads.
    #[test]
    fn closes_with_the_usual_line() {
        let tally = Tally { passed: 3, failed: 0, skipped: 1 };
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
