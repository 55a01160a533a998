//! How long each test took, by when libtest's lines come: it tells no times itself in stable Rust.

use std::time::Duration;

/// What follows in libtest's output is about tests that have ended, and may be any text.
const ENDS: [&str; 3] = ["successes:", "failures:", "test result: "];

/// A test that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) name: String,
    pub(crate) took: Duration,
    pub(crate) has_failed: bool,
}

/// Reads lines as they come, of tests that run one at a time.
#[derive(Default)]
pub(crate) struct Stopwatch {
    tests: Vec<Timed>,
    /// When the last test ended or the first began; none where no tests run.
    last: Option<Duration>,
}

impl Stopwatch {
    /// Reads a line that came at that time, by any clock.
    pub(crate) fn read(&mut self, line: &str, now: Duration) {
        if ENDS.iter().any(|end| line.starts_with(end)) {
            self.last = None;
        } else if is_begin(line) {
            self.last = Some(now);
        } else if let (Some(last), Some((name, verdict))) = (self.last, ended(line)) {
            self.last = Some(now);
            // What is ignored is not run.
            if !verdict.starts_with("ignored") {
                let (took, has_failed) = (now.saturating_sub(last), verdict.ends_with("FAILED"));
                self.tests.push(Timed { name: name.to_owned(), took, has_failed });
            }
        }
    }

    pub(crate) fn tests(self) -> Vec<Timed> {
        self.tests
    }
}

/// `running 3 tests`
fn is_begin(line: &str) -> bool {
    let number = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    number.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// `test a_name ... ok`: the name, and the verdict.
fn ended(line: &str) -> Option<(&str, &str)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.split(" - should panic").next().unwrap_or(name), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests that lines with their seconds tell of: name, seconds, and whether it failed.
    fn timed(lines: &[(u64, &str)]) -> Vec<(String, u64, bool)> {
        let mut watch = Stopwatch::default();
        for (second, line) in lines {
            watch.read(line, Duration::from_secs(*second));
        }
        let plain = |test: Timed| (test.name, test.took.as_secs(), test.has_failed);
        watch.tests().into_iter().map(plain).collect()
    }

    /// Show that a test takes from the line before it to its own, in each process of cargo's anew: to
    /// compile the next one is no test's time.
    #[test]
    fn a_test_takes_what_is_between_lines() {
        let tests = timed(&[
            (1, ""),
            (5, "running 3 tests"),
            (6, "what a child of the test says past libtest"),
            (7, "test first ... ok"),
            (8, "test left_out ... ignored, for its time"),
            (18, "test inner::second ... FAILED"),
            (18, ""),
            (18, "failures:"),
            (18, "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out"),
            (40, "running 1 test"),
            (43, "test odd - should panic ... ok"),
        ]);
        let expected = [("first", 2, false), ("inner::second", 10, true), ("odd", 3, false)];
        assert_eq!(tests, expected.map(|(name, took, failed)| (name.to_owned(), took, failed)));
    }

    /// Show that what a test printed is not taken for one.
    #[test]
    fn the_output_of_tests_is_no_test() {
        let tests = timed(&[
            (0, "test early ... ok"),
            (0, "running late tests"),
            (1, "running 1 test"),
            (2, "test real ... ok"),
            (2, "successes:"),
            (2, "test said ... FAILED"),
            (2, "running 3 miles"),
            (2, "test said ... FAILED"),
        ]);
        assert_eq!(tests, [("real".to_owned(), 1, false)]);
    }
}
