//! Batch jobs, written as sentences.

use crate::watch::WAIT;
use crate::{N1, Output, as_user};

/// In a job's script: wait until the test says [`Started::go`]. It starts no program meanwhile, as `pause` does not.
pub const GO: &str =
    "exec {idle}<> <(:); until [ -e /tmp/go.$SLURM_JOB_ID ]; do read -rt 0.2 -u $idle; done";

/// Exits as job $id did: with its code, or as a shell tells of a signal.
const EXIT_CODE: &str = "\
    worst=0; for code in $(scontrol --oneliner show job $id | grep --only-matching ' ExitCode=[0-9:]*'); do \
        code=${code#ExitCode=}; signal=${code#*:}; code=${code%:*}; \
        [ $signal = 0 ] || code=$((128 + signal)); \
        [ $code -le $worst ] || worst=$code; done; exit $worst";

/// Waits until a log of Slurm's says that, or a few seconds, and leaves the node's CPUs to the job: squeue
/// takes a quarter of a second of an emulated one's.
pub fn hears(log: &str, regex: &str) -> String {
    format!(
        "{{ timeout 5 tail --bytes=50000 --follow /var/log/slurm/{log}.log | \
         grep --quiet --max-count=1 --extended-regexp '{regex}'; }} 2>/dev/null; pause 0.1"
    )
}

/// What slurmd's log says at the end of a job, as a shell has its id.
pub fn epilog_of(job: &str) -> String {
    format!("completed epilog for .*\\b'{job}'\\b|\\b'{job}'\\b.*epilog failed")
}

/// A batch job to be submitted on n1.
#[derive(Clone, Debug)]
pub struct Batch {
    user: String,
    env: String,
    options: String,
    script: String,
}

impl Batch {
    /// A job of `user` that runs `script` with bash.
    pub fn of(user: &str, script: &str) -> Self {
        let [env, options] = [String::new(), String::new()];
        Self { user: user.to_owned(), env, options, script: script.to_owned() }
    }

    /// With more options for sbatch.
    pub fn with(mut self, options: &str) -> Self {
        self.options = format!("{} {options}", self.options);
        self
    }

    /// Submitted from an environment that has `NAME=value` as well.
    pub fn submitted_with(mut self, assignment: &str) -> Self {
        self.env = format!("{} {assignment}", self.env);
        self
    }

    /// Submits it, waits for its end and returns what the job printed. The code
    /// is the job's.
    pub fn run(&self) -> Output {
        self.run_within(400)
    }

    /// The same, with `seconds` instead of 400.
    ///
    /// A batch job that could not be launched is back in the queue, and held: it is over, too.
    /// `sbatch --wait` would see the end up to 10 s late, and be a process of the
    /// user's outside of the session.
    pub fn run_within(&self, seconds: u32) -> Output {
        let submit = self.submit("--parsable --output=/tmp/run.%j.out --error=/tmp/run.%j.err");
        let submit = as_user(&self.user, &submit);
        let ends = hears("slurmctld", "JobId='$id' done");
        N1.sh_within(
            seconds,
            &format!(
                "why=$(mktemp); id=$({submit}) 2>$why || {{ cat $why >&2; exit 1; }}\n\
                 while {ends}; squeue --noheader --jobs=$id --states=PD,CF,R --format=%r | \
                     grep --quiet --invert-match held; do :; done\n\
                 cat /tmp/run.$id.out; cat $why /tmp/run.$id.err >&2; rm -f $why /tmp/run.$id.*\n\
                 {EXIT_CODE}"
            ),
        )
    }

    /// Submits it and returns its id. What it prints is for [`Started::wait_says`]
    /// and [`Started::output`].
    ///
    /// # Panics
    /// When it is not accepted.
    pub fn start(&self) -> Started {
        let submit = self.submit("--parsable --output=/tmp/out.%j");
        let accepted = N1.sh(&as_user(&self.user, &submit)).ok();
        Started(accepted.stdout.trim().parse().expect("sbatch --parsable prints an id"))
    }

    fn submit(&self, more: &str) -> String {
        let Self { env, options, script, .. } = self;
        let heredoc = format!("<<'END_OF_JOB'\n#!/bin/bash\n{script}\nEND_OF_JOB\n");
        format!("submit() {{ env {env} sbatch {options} \"$@\" {heredoc}}}\nsubmit {more}")
    }
}

/// A job that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started(pub u32);

impl Started {
    /// Waits until its batch step is there. Slurm says RUNNING before the prolog
    /// is through.
    pub fn wait_running(self) {
        self.wait_for(&format!("pgrep --full 'slurmstepd: [[]{}.batch[]]' >/dev/null", self.0));
    }

    /// Waits until it has printed `text`.
    pub fn wait_says(self, text: &str) {
        self.wait_for(&format!(
            "timeout 5 tail --lines=+1 --follow=name --retry /tmp/out.{} 2>/dev/null | \
             grep --quiet --max-count=1 --fixed-strings '{text}'",
            self.0
        ));
    }

    /// Waits until it has printed `text` so many times.
    pub fn wait_counts(self, text: &str, count: usize) {
        let said = format!(
            "$(grep --no-messages --only-matching '{text}' /tmp/out.{} | wc --lines)",
            self.0
        );
        self.wait_for(&format!("[ {said} -ge {count} ]"));
    }

    /// Lets it go on behind its [`GO`].
    pub fn go(self) {
        N1.sh(&format!("touch /tmp/go.{}", self.0)).ok();
    }

    /// Lets it go on, waits for its end and returns what it has printed, errors
    /// included.
    pub fn go_to_its_end(self) -> Output {
        self.go();
        self.wait_over();
        self.output()
    }

    /// What it has printed so far, errors included.
    pub fn output(self) -> Output {
        N1.sh(&format!("cat /tmp/out.{}", self.0)).ok()
    }

    /// Its state in Slurm's words, also after its end.
    pub fn state(self) -> String {
        let script =
            format!("scontrol show job {} | sed -n 's/.*JobState=\\([A-Z_]*\\).*/\\1/p'", self.0);
        N1.sh(&script).ok().stdout.trim().to_owned()
    }

    /// Waits until it is over and its epilog is through.
    pub fn wait_over(self) {
        self.wait_state("");
    }

    /// Waits until it is to run again, after a requeue.
    pub fn wait_pending(self) {
        self.wait_state("PENDING");
    }

    /// Ends it.
    pub fn cancel(self) {
        N1.sh(&format!("scancel {}", self.0)).ok();
        self.wait_over();
    }

    fn wait_state(self, state: &str) {
        let ask = format!("squeue --noheader --jobs={} --format=%T 2>/dev/null", self.0);
        let ends = hears("slurmd", &epilog_of(&self.0.to_string()));
        self.wait_for(&format!("{{ {ends}; [ \"$({ask})\" = '{state}' ]; }}"));
    }

    fn wait_for(self, condition: &str) {
        N1.sh(&format!(
            "{WAIT} {condition} && exit 0; pause 0.3; done; squeue; \
             grep --extended-regexp 'equeu|missing|drain' /var/log/slurm/slurmctld.log | tail; \
             cat /tmp/out.{}; exit 1",
            self.0
        ))
        .ok();
    }
}
