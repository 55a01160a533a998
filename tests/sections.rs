//! Several scripts in one job, each with an end of its own.

use crate::Output;

/// A job's script that runs these in turn, each for four minutes at most; what goes wrong
/// in one leaves the others alone. What they print is for [`Output::section`].
pub fn sections(scripts: &[(&str, String)]) -> String {
    let section = |(name, script): &(&str, String)| {
        format!(
            "cat >~/section.sh <<'END_OF_SECTION'\n{script}\nEND_OF_SECTION\n\
             echo '=== {name}'\n\
             timeout --kill-after=5 240 bash -e ~/section.sh </dev/null 2>&1\n\
             echo \"=== end of {name}: $?\"\n"
        )
    };
    scripts.iter().map(section).collect()
}

impl Output {
    /// What one of the [`sections`] printed, errors included, and its code.
    ///
    /// # Panics
    /// When the job did not come to it.
    pub fn section(&self, name: &str) -> Self {
        let part = self.stdout.split_once(&format!("=== {name}\n")).and_then(|(_, rest)| {
            let (said, rest) = rest.split_once(&format!("=== end of {name}: "))?;
            Some((said, rest.lines().next()?.parse().ok()?))
        });
        assert!(part.is_some(), "no section {name}: {self:#?}");
        let (said, code) = part.unwrap_or_default();
        self.part(name, code, said)
    }
}
