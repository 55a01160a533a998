//! A step in its slurmstepd, from its plan to its end: what is kept from one callback to the next.

use std::env;
use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use libc::{SIGKILL, SIGTERM};
use slurm_spank::SpankHandle;
use user_session::{Job, Mark, Role, SessionKind, Sessions, StepCgroup};

use crate::arguments::{Arguments, OnError};
use crate::asked::{read_arguments, request, sessions, this_job};
use crate::child::as_root;
use crate::launch::Forks;
use crate::outcome::{Outcome, guarded};
use crate::step::Plan;
use crate::whereabouts::{Before, Root, Whereabouts, is_in_bundle};
use crate::{job, step};

/// SLURM_BATCH_SCRIPT in slurm.h.
const BATCH_SCRIPT: u32 = 0xffff_fffb;

/// The variable in which srun, sbatch and salloc hand an OCI bundle on.
const BUNDLE: &str = "SLURM_CONTAINER";

/// In slurmd's children: where its configuration is.
const CONFIGURATION: &str = "SLURM_CONF";

/// A step in its slurmstepd.
pub(crate) struct Step {
    pub(crate) job: Job,
    pub(crate) arguments: Arguments,
    pub(crate) plan: Plan,
    /// The mark that its tasks bear, unless leftovers are kept.
    mark: Option<Mark>,
    /// What is done once for all tasks is done.
    begun: bool,
    /// The mark that a task has.
    marked: Option<u32>,
    /// How they have ended.
    end: End,
    /// Of a task that could not enter the session: why.
    pub(crate) barred: Option<String>,
    /// And that its user knows it from another step.
    pub(crate) was_told: bool,
    before: Before,
    /// It is the job's script.
    is_script: bool,
    /// Where Slurm has put this process, which leaves it.
    cgroup: StepCgroup,
}

impl Step {
    /// Where this task's program will run. One that could not enter its session is told of that, wherever it is.
    pub(crate) fn whereabouts(&self) -> Whereabouts {
        match self.barred {
            Some(_) => Whereabouts::Node,
            None => Whereabouts::after(&self.before),
        }
    }

    /// Whether it is the script of a job with a session of its own.
    fn is_own_script(&self) -> bool {
        self.is_script && matches!(self.plan, Plan::Session { kind: SessionKind::Own, .. })
    }
}

/// How the tasks of a step have ended, at worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// By themselves, or not yet.
    #[default]
    Free,
    /// Slurm has told one to, as it does with all of a job that is cancelled.
    Told,
    /// Slurm, or the kernel for its memory, has killed one.
    Killed,
}

impl End {
    fn of(status: i32) -> Self {
        match ExitStatus::from_raw(status).signal() {
            Some(SIGKILL) => Self::Killed,
            Some(SIGTERM) => Self::Told,
            _ => Self::Free,
        }
    }
}

/// A bad argument was an error at slurmd's start and in the prolog; here it is
/// the reason why there is no session.
pub(crate) fn plan(spank: &SpankHandle<'_>) -> Result<Step, Box<dyn Error>> {
    let job = this_job(spank)?;
    let (arguments, plan) = match read_arguments(spank) {
        Ok(arguments) => {
            let sessions = sessions(&arguments);
            note_keeper(&sessions, job, Role::Step);
            let plan = step::plan(&arguments, &sessions, job, &request(spank)?);
            (arguments, plan)
        }
        Err(problem) => {
            let missing = Plan::Missing { cause: problem.to_string(), tell: true };
            (Arguments::default(), missing)
        }
    };
    let marks = plan != Plan::Ignore && arguments.containment.kill_leftovers;
    let mark = marks.then(|| sessions(&arguments).mark(job));
    let is_script = spank.job_stepid()? == BATCH_SCRIPT;
    let cgroup = StepCgroup::default();
    let is_in_bundle =
        is_in_bundle(spank.getenv_os(BUNDLE).unwrap_or_default(), env::var_os(CONFIGURATION));
    Ok(Step {
        job,
        arguments,
        plan,
        mark,
        begun: false,
        marked: None,
        end: End::default(),
        barred: None,
        was_told: false,
        before: Before { root: Root::here(), is_in_bundle },
        is_script,
        cgroup,
    })
}

pub(crate) fn note_keeper(sessions: &Sessions, job: Job, role: Role) {
    let noted = sessions.note_keeper(job, role);
    noted.unwrap_or_else(|error| log::error!("{job}: note its step: {error}"));
}

/// One of its tasks has ended.
///
/// # Errors
/// What the user could reach Slurm's processes by could not be taken back.
pub(crate) fn note_end(spank: &SpankHandle<'_>, step: &mut Step) -> Outcome {
    step.end = step.end.max(End::of(spank.task_exit_status()?));
    if step.is_own_script() {
        sessions(&step.arguments).withdraw(step.job)?;
    }
    Ok(())
}

/// For each task, and what concerns all of them once: they were forked from one process.
pub(crate) fn begin_tasks(spank: &SpankHandle<'_>, step: &mut Step, forks: &Forks) -> Outcome {
    let (sessions, job) = (sessions(&step.arguments), step.job);
    // Also without a session: who lingers has one of their own.
    if step.plan != Plan::Ignore {
        if !step.begun {
            step.cgroup = sessions.step_cgroup()?;
        }
        let held = sessions.hold_in_step(job, spank.task_pid()?, &step.cgroup);
        held.unwrap_or_else(|error| log::error!("{job}: hold a task in its step: {error}"));
    }
    if std::mem::replace(&mut step.begun, true) {
        return Ok(());
    }
    if let Some(mark) = step.mark {
        step.marked = sessions.note_mark(job, spank.task_pid()?, mark).unwrap_or_else(|error| {
            log::error!("{job}: note the mark of its tasks: {error}");
            None
        });
    }
    let confined = step::bind(&sessions, forks, job, Some(&step.plan));
    if step.arguments.on_error == OnError::Warn { Ok(()) } else { Ok(confined?) }
}

/// What is in the session of a step whose task was killed ends with it, as if it were in the step's cgroup: who
/// was killed could hand no signal on to it.
pub(crate) fn end_step(step: &Step) -> Outcome {
    if step.is_own_script() {
        let (sessions, job) = (sessions(&step.arguments), step.job);
        let is_told = step.end == End::Told;
        let end = || job::end_of_script(&sessions, job, is_told);
        in_child(job, &sessions, "end its session", &end)?;
    }
    let (Some(id), true) = (step.marked, step.end == End::Killed) else { return Ok(()) };
    let (sessions, job) = (sessions(&step.arguments), step.job);
    in_child(job, &sessions, "end what a killed step left", &|| job::end_step(&sessions, job, id))
}

/// `work`, as [`as_root`] does it; what fails is in the log.
pub(crate) fn in_child(
    job: Job,
    sessions: &Sessions,
    doing: &str,
    work: &dyn Fn() -> Result<(), String>,
) -> Outcome {
    let work = || guarded(|| Ok(work()?)).inspect_err(|error| log::error!("{error}")).is_ok();
    let done = as_root(sessions.longest_release(), &work)
        .map_err(|error| format!("{job}: {doing}: {error}"))?;
    if done { Ok(()) } else { Err(String::new().into()) }
}
