//! Long steps, shown while they last.
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const FRAME: Duration = Duration::from_millis(100);

/// A step on its way; dropped without [`Step::done`] it has failed.
pub struct Step {
    started: Instant,
    bar: Option<ProgressBar>,
    what: String,
}

impl Step {
    /// Announce a step: `building node trixie`.
    #[must_use]
    pub fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = stderr().is_terminal().then(|| spinner(&what));
        if bar.is_none() {
            eprintln!("==> {what} …");
        }
        Self { started: Instant::now(), bar, what }
    }

    /// The step is done: say how long it took.
    pub fn done(mut self) {
        self.close("done in");
    }

    fn close(&mut self, outcome: &str) {
        let what = std::mem::take(&mut self.what);
        let took = format!("{outcome} {:.1} s", self.started.elapsed().as_secs_f64());
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        // By its name: another step may have begun meanwhile.
        eprintln!("==> {what}: {took}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.what.is_empty() {
            self.close("failed after");
        }
    }
}

fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(FRAME);
    bar
}
