//! What a callback answers, and how a panic in one ends there.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// slurm-spank catches a panic too, but refuses every callback after it.
pub(crate) fn guarded(callback: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or_else(|_| Err("stopped by a bug".into()))
}
