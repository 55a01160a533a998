//! The callbacks that Slurm calls, and nothing that could be decided elsewhere.
#![allow(unsafe_code)]

use std::env;
use std::error::Error;
use std::panic::set_hook;

use slurm_spank::{Context, Plugin, SpankHandle, SpankOption};
use user_session::{Job, Moment, Role};

use crate::arguments::OnError;
use crate::asked::{read_arguments, request, sessions, this_job, waits_for_others};
use crate::launch::Forks;
use crate::outcome::{Outcome, guarded};
use crate::policy::{OPTION, Request, Wish};
use crate::running::Running;
use crate::step::Plan;
use crate::stepd::{Step, begin_tasks, end_step, in_child, note_end, note_keeper};
use crate::task::Task;
use crate::{job, log_bridge, step, stepd, task};

/// Slurm compares major and minor with its own and refuses the plugin when they
/// differ. The micro is free.
pub(crate) const RELEASE: u32 =
    release(env!("SLURM_MAJOR")) << 16 | release(env!("SLURM_MINOR")) << 8;

/// SLURM_EXTERN_CONT in slurm.h: the step that holds the job's processes that
/// are in no step of their own.
const EXTERN_STEP: u32 = 0xffff_fffc;

const fn release(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}

/// The plugin in one of Slurm's processes. What a step decides as root is kept
/// for its tasks, which are forked from it.
#[derive(Default)]
pub(crate) struct Linger {
    step: Option<Step>,
    /// This is the extern step of that job.
    holds: Option<Job>,
    /// It has no prolog of ours, and this step took its lease: no epilog of ours
    /// will drop it (PrologFlags=RunInJob).
    ends: bool,
    forks: Forks,
}

// SAFETY: the trait asks for a plugin that is fit to be called in a forked
// child; no thread outlives a callback here, and no lock is held between two.
unsafe impl Plugin for Linger {
    fn setup(&mut self, _spank: &mut SpankHandle<'_>) -> Outcome {
        log_bridge::install();
        set_hook(Box::new(|panic| log::error!("bug in this plugin: {panic}")));
        Ok(())
    }

    fn report_error(&self, _spank: &mut SpankHandle<'_>, error: &dyn Error) {
        let text = error.to_string();
        if !text.is_empty() {
            log::error!("{text}");
        }
    }

    fn init(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| match spank.context()? {
            Context::Local | Context::Allocator | Context::Remote => register_option(spank),
            Context::Slurmd => start_of_slurmd(spank),
            Context::JobScript => Ok(()),
        })
    }

    fn init_post_opt(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| match spank.context()? {
            Context::Local | Context::Allocator => check_wish(spank),
            Context::Remote if spank.job_stepid()? == EXTERN_STEP => {
                self.holds = Some(this_job(spank)?);
                take_unless_taken(spank, &mut self.ends)
            }
            Context::Remote => {
                self.step = Some(stepd::plan(spank)?);
                Ok(())
            }
            _ => Ok(()),
        })
    }

    fn job_prolog(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| {
            let arguments = read_arguments(spank)?;
            let job = this_job(spank)?;
            let partition = env::var("SLURM_JOB_PARTITION").ok();
            let request = Request { partition, ..request(spank)? };
            // A node that is to be drained for it is drained by its prolog.
            let waits = arguments.on_error == OnError::Drain;
            let moment = if waits { Moment::Prolog } else { Moment::Early };
            Ok(job::begin(&arguments, &sessions(&arguments), job, &request, moment)?)
        })
    }

    fn job_epilog(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| {
            // With a bad argument there is still a lease to drop.
            let arguments = read_arguments(spank).unwrap_or_default();
            Ok(job::end(&arguments, &sessions(&arguments), this_job(spank)?)?)
        })
    }

    fn task_exit(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| match &mut self.step {
            Some(step) => note_end(spank, step),
            None => Ok(()),
        })
    }

    fn exit(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| {
            if let Some(step) = self.step.take() {
                return end_step(&step);
            }
            let Some(job) = self.holds.take() else { return Ok(()) };
            let arguments = read_arguments(spank).unwrap_or_default();
            let sessions = sessions(&arguments);
            if waits_for_others(spank) {
                in_child(job, &sessions, "end what left its step", &|| {
                    job::end_what_left(&sessions, job)
                })?;
            }
            if !self.ends {
                return Ok(());
            }
            in_child(job, &sessions, "close session", &|| job::end(&arguments, &sessions, job))
        })
    }

    fn task_post_fork(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| match &mut self.step {
            None if spank.context()? == Context::Remote => begin_extern_step(spank, &self.forks),
            None => Ok(()),
            Some(step) => begin_tasks(spank, step, &self.forks),
        })
    }

    /// In the task's own process, in which `task_init` tells the user.
    fn task_init_privileged(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| {
            let Some(step) = &mut self.step else { return Ok(()) };
            let sessions = sessions(&step.arguments);
            if let Plan::Session { kind, .. } = step.plan
                && let Err(error) = sessions.enter(step.job, kind, &self.forks)
            {
                // The user is told in `task_init`.
                log::debug!("{}: enter its session: {error}", step.job);
                step.barred = Some(error.to_string());
                step.was_told = spank.task_id()? == 0 && sessions.has_been_told(step.job);
            }
            Ok(())
        })
    }

    fn task_init(&mut self, spank: &mut SpankHandle<'_>) -> Outcome {
        guarded(|| {
            let Some(step) = &self.step else { return Ok(()) };
            let whereabouts = step.whereabouts();
            let (sessions, job) = (sessions(&step.arguments), step.job);
            let is_first = spank.task_id()? == 0;
            let door = &|kind, is_held| match &step.barred {
                Some(cause) => Err(cause.clone()),
                None => sessions.door(job, kind, is_held),
            };
            let task = Task { job, door, whereabouts, is_first, was_told: step.was_told };
            Ok(task::enter(&step.plan, &step.arguments, &task, &mut Running(spank))?)
        })
    }
}

fn register_option(spank: &mut SpankHandle<'_>) -> Outcome {
    let usage = "systemd user session for the job, for rootless Podman and systemctl --user";
    spank.register_option(SpankOption::new(OPTION).takes_value("yes|no").usage(usage))?;
    Ok(())
}

fn check_wish(spank: &SpankHandle<'_>) -> Outcome {
    Wish::parse(spank.get_option_value_lossy(OPTION).as_deref())?;
    Ok(())
}

fn start_of_slurmd(spank: &SpankHandle<'_>) -> Outcome {
    let arguments = read_arguments(spank)?;
    let is_reconfigured = env::var_os("SLURMD_RECONF").is_some();
    let swept = sessions(&arguments).sweep(!is_reconfigured);
    swept.unwrap_or_else(|error| log::error!("sweep what ended jobs left: {error}"));
    Ok(())
}

/// In the extern step, which `ends` the job if that had no lease and has one now.
fn take_unless_taken(spank: &SpankHandle<'_>, ends: &mut bool) -> Outcome {
    // A bad argument has been named in the prolog; the next step names it for the user.
    let Ok(arguments) = read_arguments(spank) else { return Ok(()) };
    let (job, sessions) = (this_job(spank)?, sessions(&arguments));
    let (is_ours, begun) = job::begin_late(&arguments, &sessions, job, &request(spank)?);
    *ends = is_ours;
    note_keeper(&sessions, job, Role::Extern);
    Ok(begun?)
}

/// The extern step is the first on most nodes, and has no task of the user's.
/// A bad argument has been named in the prolog.
fn begin_extern_step(spank: &SpankHandle<'_>, forks: &Forks) -> Outcome {
    let arguments = read_arguments(spank)?;
    // The steps that follow see a failure in the lease.
    let _ = step::bind(&sessions(&arguments), forks, this_job(spank)?, None);
    Ok(())
}
