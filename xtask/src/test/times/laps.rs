//! Steps one after the other, each with its time.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::seconds;

/// The steps of something, in their order.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Laps(pub(super) Vec<Lap>);

/// A step.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Lap {
    pub(super) what: String,
    pub(super) seconds: f64,
}

impl Laps {
    /// Does a step, and notes how long it took, also if it failed.
    pub(crate) fn time<T>(&mut self, what: &str, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let outcome = step();
        self.note(what, began.elapsed());
        outcome
    }

    pub(super) fn note(&mut self, what: &str, took: Duration) {
        self.0.push(Lap { what: what.to_owned(), seconds: seconds(took) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn seconds(&self) -> f64 {
        self.0.iter().map(|lap| lap.seconds).sum()
    }
}
