//! What a callback begins with: what Slurm tells of a job and of itself, and the arguments of the line.

use std::error::Error;

use slurm_spank::SpankHandle;
use user_session::{Job, Roots, Sessions};

use crate::arguments::{self, Arguments};
use crate::policy::{OPTION, Request, Wish};

/// The line in plugstack.conf, read anew in each callback; its log level holds from now on.
pub(crate) fn read_arguments(spank: &SpankHandle<'_>) -> Result<Arguments, Box<dyn Error>> {
    let arguments = arguments::parse(spank.plugin_argv()?)?;
    log::set_max_level(arguments.log_level);
    Ok(arguments)
}

/// The sessions of this node, as the line has them.
pub(crate) fn sessions(arguments: &Arguments) -> Sessions {
    Sessions { site: arguments.site(Roots::default()) }
}

/// The job that this process of Slurm's is for.
pub(crate) fn this_job(spank: &SpankHandle<'_>) -> Result<Job, Box<dyn Error>> {
    Ok(Job { id: spank.job_id()?, uid: spank.job_uid()? })
}

/// In a process whose environment is the user's.
pub(crate) fn request(spank: &SpankHandle<'_>) -> Result<Request, Box<dyn Error>> {
    Ok(Request { uid: spank.job_uid()?, wish: wish(spank), partition: None })
}

/// A wish that is neither yes nor no was refused at submission, unless the
/// plugin is `optional`: then it counts as none.
fn wish(spank: &SpankHandle<'_>) -> Wish {
    Wish::parse(spank.get_option_value_lossy(OPTION).as_deref()).unwrap_or_else(|problem| {
        log::warn!("{problem}; going on as if it were not given");
        Wish::None
    })
}

/// Whether Slurm ends the extern step when KillWait is over and not before: since 24.05
/// (stepd_cleanup() in mgr.c).
pub(crate) fn waits_for_others(spank: &SpankHandle<'_>) -> bool {
    let number = |part: Result<&str, _>| part.ok().and_then(|part| part.parse().ok());
    let release = number(spank.slurm_version_major()).zip(number(spank.slurm_version_minor()));
    release >= Some((24_u32, 5_u32))
}
