//! A running step, as Slurm has it, for the decisions.

use slurm_spank::SpankHandle;

use crate::host::Host;

/// The running step, for the decisions.
pub(crate) struct Running<'a, 'b>(pub(crate) &'a SpankHandle<'b>);

impl Host for Running<'_, '_> {
    fn env(&self, name: &str) -> Option<String> {
        self.0.getenv_os(name).ok()?.map(|value| value.to_string_lossy().into_owned())
    }

    fn set_env(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.0.setenv(name, value, true).map_err(|error| format!("set {name}: {error}"))
    }

    fn unset_env(&mut self, name: &str) -> Result<(), String> {
        self.0.unsetenv(name).map_err(|error| format!("unset {name}: {error}"))
    }

    fn tell(&mut self, line: &str) {
        slurm_spank::slurm_spank_log(line);
    }
}
