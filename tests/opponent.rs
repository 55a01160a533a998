//! A user who mounts a file system of their own where root may look, with a daemon
//! that never answers.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::{Duration, Instant};

use cluster_tests::{AtEnd, Batch, GO, LIVE, N1, QUICK, SILENT, alice_is_served, many};

/// What a step or the end of a job may take on an emulated node. systemd alone gives
/// up after 90 s, and root waited for ever.
const BOUND: Duration = Duration::from_secs(75);

/// Where it is mounted: what the user does before, the place, and what a step of the
/// job then says. Over the bus it says nothing: its task, the user's own process, waits.
const PLACES: [(&str, &str, &str); 2] = [
    ("", "/run/user/1001", "/run/user/1001 is covered by a file system of type fuse.silent"),
    // No program of a user's mounts over a socket.
    ("rm /run/user/1001/bus; : >/run/user/1001/bus;", "/run/user/1001/bus", ""),
];

/// By a process of the step's or of a scope in the session beside it; with root let in, which would make it
/// wait, or refused.
const WAYS: [(&str, &str); 3] =
    [("", ""), (",allow_other", ""), (",allow_other", "systemd-run --user --scope --quiet")];

/// Runs a job of alice's that mounts it, by a process of the step or of a scope in the
/// session, looks again in a step, and ends.
fn is_in_nobodys_way((first, place, told): (&str, &str, &str), options: &str, how: &str) {
    println!("{place}{options} {how}");
    let before = N1.snapshot();
    let script = format!(
        "{SILENT}{how} bash -c '{first} exec perl ~/silent {place} {options}' &\n\
         until grep --quiet ' {place} .* fuse.silent ' /proc/self/mountinfo; do sleep 0.1; done\n\
         echo up; {GO}\n\
         SECONDS=0; timeout --kill-after=5 30 srun bash -c '{LIVE}'; echo \"step took $SECONDS s\"; echo through"
    );
    let job = Batch::of("alice", &script).start();
    job.wait_says("up");
    N1.sh_within(60, "spank-linger status || true").ok();
    job.go();
    job.wait_says("through");
    let began = Instant::now();
    job.wait_over();
    let took = began.elapsed();
    let said = job.output().says(told);
    let seconds = said.stdout.split("step took ").nth(1).and_then(|rest| rest.split(' ').next());
    let seconds: u64 = seconds.unwrap().parse().unwrap();
    assert!(Duration::from_secs(seconds) < BOUND, "the step: {said:#?}");
    assert!(took < BOUND, "the end took {took:?}: {}", N1.log_of(job.0));
    N1.settles();
    N1.is_again(&before);
    let left = N1.sh("grep fuse.silent /proc/self/mountinfo").stdout;
    assert_eq!(left, "", "mounts are left");
    alice_is_served(&before);
}

/// Show that a file system over the user's runtime directory, or over the bus in it,
/// keeps neither a step nor the end of the job waiting, drains no node, and is gone
/// with the session; and that the user's next job has a session.
#[test]
fn a_silent_file_system_is_in_nobodys_way() {
    N1.configure(QUICK);
    // Another cause than a user's: no module, no program.
    N1.sh("modprobe fuse; command -v fusermount3").ok();
    let _end = AtEnd(
        "pkill --signal=KILL --full 'perl .*/silent'; sed -i /^user_allow_other/d /etc/fuse.conf\n\
         for i in $(seq 9); do umount --lazy /run/user/1001/bus; done 2>/dev/null\n\
         while grep --quiet ' /run/user/1001 .* fuse' /proc/self/mountinfo; do \
             umount --lazy /run/user/1001; done"
            .into(),
    );
    N1.sh("printf '\nuser_allow_other\n' >>/etc/fuse.conf").ok();
    for (place, ways) in PLACES.into_iter().zip([3, many(1, 3)]) {
        for (options, how) in WAYS.into_iter().rev().take(ways as usize) {
            is_in_nobodys_way(place, options, how);
        }
    }
}
