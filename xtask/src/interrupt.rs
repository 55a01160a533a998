//! Ctrl-C and its kin as an error that unwinds, so that every guard cleans up behind itself.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// What a shell reports for a program that Ctrl-C ended.
const EXIT_BY_INTERRUPT: i32 = 130;

/// Start to note signals; the second one exits at once.
///
/// # Errors
/// The handlers cannot be installed.
pub fn watch() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, EXIT_BY_INTERRUPT, Arc::clone(&INTERRUPTED))?;
        flag::register(signal, Arc::clone(&INTERRUPTED))?;
    }
    Ok(())
}

/// Fail if a signal came: to be asked in every wait.
///
/// # Errors
/// A signal came.
pub fn check() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}
