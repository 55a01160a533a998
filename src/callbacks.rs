//! What Slurm looks for by name in a plugin, with one way into all of it.
//!
//! slurm-spank's own macro puts a copy of that way into each callback, and asks Slurm for a task and formats a span
//! each time that nobody reads: 1.4 KB twelve times.
#![allow(unsafe_code, non_upper_case_globals)]

use std::error::Error;
use std::ffi::{c_char, c_int, c_uint};

use slurm_spank::{Plugin, SpankHandle, init_spank_handle, spank_callback_with_globals, spank_sys};

use crate::spank::{Linger, RELEASE};

// SAFETY: no other plugin's are seen in a process: Slurm loads each with its names for itself.
#[unsafe(no_mangle)]
static plugin_name: [u8; 7] = *b"linger\0";

// SAFETY: the same.
#[unsafe(no_mangle)]
static plugin_type: [u8; 6] = *b"spank\0";

// SAFETY: the same.
#[unsafe(no_mangle)]
static plugin_version: c_uint = RELEASE;

type Callback = fn(&mut dyn Plugin, &mut SpankHandle<'_>) -> Result<(), Box<dyn Error>>;

fn call(
    spank: spank_sys::spank_t,
    count: c_int,
    arguments: *const *const c_char,
    callback: Callback,
) -> c_int {
    spank_callback_with_globals::<Linger, _>(|plugin, options, is_first| {
        let spank = &mut init_spank_handle(spank, count, arguments, options);
        let ready = if is_first { plugin.setup(spank) } else { Ok(()) };
        let done = ready.and_then(|()| callback(plugin, spank));
        done.inspect_err(|error| plugin.report_error(spank, error.as_ref()))
    })
}

macro_rules! callbacks {
    ($($symbol:ident $callback:ident)*) => {
        $(
            // SAFETY: as of the others; and it has the type that Slurm calls it by.
            #[unsafe(no_mangle)]
            extern "C" fn $symbol(
                spank: spank_sys::spank_t,
                count: c_int,
                arguments: *const *const c_char,
            ) -> c_int {
                call(spank, count, arguments, |plugin, spank| plugin.$callback(spank))
            }
        )*
    };
}

callbacks! {
    slurm_spank_init init
    slurm_spank_job_prolog job_prolog
    slurm_spank_init_post_opt init_post_opt
    slurm_spank_local_user_init local_user_init
    slurm_spank_user_init user_init
    slurm_spank_task_init_privileged task_init_privileged
    slurm_spank_task_init task_init
    slurm_spank_task_post_fork task_post_fork
    slurm_spank_task_exit task_exit
    slurm_spank_job_epilog job_epilog
    slurm_spank_slurmd_exit slurmd_exit
    slurm_spank_exit exit
}
