//! The time one callback may take, everything included.

use std::time::{Duration, Instant};

use crate::terms::error::{Error, Problem};

/// A deadline together with the duration it was made from, so that a message
/// can name the setting an admin knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    started: Instant,
    total: Duration,
    usable: Duration,
}

impl Budget {
    /// Starts the clock now.
    pub(crate) fn starting_now(total: Duration) -> Self {
        Self { started: Instant::now(), total, usable: total }
    }

    /// The same budget with an earlier deadline: four fifths of it. The rest is
    /// for putting back what did not succeed.
    pub(crate) fn for_trying(self) -> Self {
        Self { usable: self.total * 4 / 5, ..self }
    }

    /// The last fifth of a budget, from now on.
    pub(crate) fn for_putting_back(self) -> Self {
        Self { started: Instant::now(), usable: self.total / 5, ..self }
    }

    /// The same budget with `more` time, for what has a time of its own.
    pub(crate) fn and(self, more: Duration) -> Self {
        Self { usable: self.usable + more, ..self }
    }

    /// The instant at which it is used up.
    pub(crate) fn deadline(self) -> Instant {
        self.started + self.usable
    }

    /// That it was used up `now`, by what was going on.
    pub(crate) fn late(self, doing: impl Into<String>, now: Instant) -> Error {
        let waited = now.saturating_duration_since(self.started);
        Problem::Late { doing: doing.into(), waited, total: self.total }.into()
    }
}
