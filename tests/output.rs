//! What a command printed, and the sentences tests say about it.

use std::process;

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Output {
    /// What was run, for whoever reads that it failed.
    pub script: String,
    code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// What a command of this machine's printed.
    pub fn of(script: &str, output: &process::Output) -> Self {
        Self {
            script: script.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A part of it, as the output of a command of its own.
    pub(crate) fn part(&self, script: &str, code: i32, stdout: &str) -> Self {
        let [script, stdout] = [script, stdout].map(str::to_owned);
        Self { script, code: Some(code), stdout, stderr: self.stderr.clone() }
    }

    /// Whether it succeeded.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Requires success.
    ///
    /// # Panics
    /// When the command failed, or `timeout` ended it (124).
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Requires failure.
    ///
    /// # Panics
    /// When the command succeeded, or `timeout` ended it.
    pub fn fails(self) -> Self {
        assert!(!matches!(self.code, Some(0 | 124 | 137) | None), "{self:#?}");
        self
    }

    /// Requires `text` in the standard output.
    ///
    /// # Panics
    /// When it is not there.
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no '{text}' in the output: {self:#?}");
        self
    }

    /// Requires `text` in the standard error.
    ///
    /// # Panics
    /// When it is not there.
    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no '{text}' in the complaints: {self:#?}");
        self
    }

    /// Requires that `text` is in neither.
    ///
    /// # Panics
    /// When it is.
    pub fn never_says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!said, "'{text}' in: {self:#?}");
        self
    }

    /// Requires a line `killed=` with that number or more: of those who share a
    /// cgroup the kernel may take a helper first.
    ///
    /// # Panics
    /// When there is no such line, or fewer were killed.
    pub fn kills_at_least(self, least: u32) -> Self {
        let killed = self.value("killed=");
        let killed: Option<u32> = killed.trim_end_matches('.').parse().ok();
        assert!(killed >= Some(least), "not {least} killed: {self:#?}");
        self
    }

    /// What follows `label` in its line of the standard output.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn value(&self, label: &str) -> String {
        let value = self.stdout.lines().find_map(|line| line.strip_prefix(label));
        assert!(value.is_some(), "no line '{label}' in the output: {self:#?}");
        value.unwrap_or_default().trim().to_owned()
    }
}
