//! The log of this plugin in Slurm's log, levels kept.

use log::{Level, LevelFilter, Log, Metadata, Record};
use slurm_spank::{LogLevel, spank_log};

struct Bridge;

static BRIDGE: Bridge = Bridge;

/// Sends what is logged from now on to Slurm's log.
pub(crate) fn install() {
    // Fails only when it has been done before, which is as good.
    let _ = log::set_logger(&BRIDGE);
    log::set_max_level(LevelFilter::Info);
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // zbus would add what it does on the wire.
        metadata.target().starts_with("spank_linger")
            || metadata.target().starts_with("user_session")
            || metadata.target().starts_with("linger_arguments")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            spank_log(slurm_level(record.level()), &format!("linger: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Slurm has no level between error and info.
fn slurm_level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warn | Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace => LogLevel::Debug2,
    }
}
