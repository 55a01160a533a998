//! One run of the job on a node.
use std::time::Duration;

use anyhow::Result;

use super::measured::Measured;
use crate::cluster::Cluster;

const JOB: &str = include_str!("job.sh");
const LOOK: &str = include_str!("look.sh");

/// What a login node's session has, and sbatch copies into the job. The uid is nobody's here.
pub(super) const STALE: [&str; 2] =
    ["XDG_RUNTIME_DIR=/run/user/4711", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4711/bus"];

/// `--mem`, and what the job then tries to use in a container.
pub(super) const JOBS_MB: u32 = 400;
pub(super) const BIG_MB: u32 = 600;

/// Podman on an emulated node, five times.
const RUN: Duration = Duration::from_secs(240);
const GLANCE: Duration = Duration::from_secs(30);

/// Submit the job as `user`, and look at the node before and after it.
///
/// # Errors
/// The job failed or did not end in time.
pub(super) fn run(cluster: &Cluster, user: &str) -> Result<Measured> {
    let look = |when: &str| cluster.must_run("n1", &looking(user, when), GLANCE);
    let before = look("before")?;
    let job = cluster.must_run("n1", &submission(user), RUN)?;
    // The job is over for Slurm before its epilog is through; the node is idle after it.
    cluster.wait_idle()?;
    Measured::parse(user, &format!("{before}{job}{}", look("after")?))
}

fn looking(user: &str, when: &str) -> String {
    format!(
        "{LOOK}\nuid=$(id -u {user})\necho \"uid=$uid\"\necho \"{when}=$(look \"$uid\")\"\n\
         echo \"{when}_detached=$(detached \"$uid\")\""
    )
}

/// As somebody who is not logged in on the node: no PAM, and so no session by itself. What the job
/// says tells whether it came to its end; Slurm calls it failed if it counts what was killed.
/// `sbatch --wait` looks seldom: it may take ten seconds to see the end.
fn submission(user: &str) -> String {
    let stale = STALE.join(" ");
    format!(
        "cd ~{user} && cat >demo.sh <<'END_OF_JOB'\n#!/bin/bash\n{LOOK}{JOB}END_OF_JOB\n\
         job=$(setpriv --reuid={user} --regid={user} --init-groups --reset-env env {stale} \
         BIG_MB={BIG_MB} sbatch --parsable --mem={JOBS_MB} --output=demo.out demo.sh) || exit 1\n\
         while squeue --noheader --jobs=$job | grep --quiet .; do sleep 0.5; done\n\
         cat demo.out"
    )
}
