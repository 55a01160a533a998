//! The time one callback may take, everything included.

use std::time::{Duration, Instant};

/// A deadline together with the duration it was made from, so that a message
/// can name the setting an admin knows.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    started: Instant,
    total: Duration,
    usable: Duration,
}

impl Budget {
    /// Starts the clock now.
    #[must_use]
    pub fn starting_now(total: Duration) -> Self {
        Self { started: Instant::now(), total, usable: total }
    }

    /// The same budget with an earlier deadline: four fifths of it. The rest is
    /// for putting back what did not succeed.
    #[must_use]
    pub fn for_trying(self) -> Self {
        Self { usable: self.total * 4 / 5, ..self }
    }

    /// The whole budget, as configured.
    #[must_use]
    pub fn total(self) -> Duration {
        self.total
    }

    /// The instant at which it is used up.
    #[must_use]
    pub fn deadline(self) -> Instant {
        self.started + self.usable
    }
}
