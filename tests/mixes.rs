//! Many jobs of several users that overlap, leave things behind and end in any
//! way: after each mix the node is as it was.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::env;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use cluster_tests::{N1, QUICK, epilog_of, hears, many};
use hostile_input::Random;

/// Repeats a run that failed: the number that it printed.
const SEED: &str = "LINGER_MIX_SEED";

/// What a job leaves behind; most leave little, because Podman takes seconds.
const LEAVES: [&str; 6] = [
    "true",
    "setsid --fork sleep 9001",
    "systemd-run --user --scope --quiet setsid --fork sleep 9002",
    "systemd-run --user --scope --quiet nohup sleep 9003 &",
    "systemd-run --user --quiet sleep 9004",
    "podman run --detach --rm --network=none localhost/busybox sleep 9005",
];

/// How it ends, once it has been submitted as $job.
const ENDS: [&str; 4] = ["true", "true", "scancel $job", "scontrol requeue $job; scancel $job"];

/// A script that submits some jobs, ends some of them, and waits for all.
fn mix(random: &mut Random) -> String {
    let mut script = String::new();
    for _ in 0..=random.below(3) {
        let user = random.one_of(&["alice", "bob", "carol"]);
        let (memory, tenths) = (60 + random.below(91), random.below(15));
        let leave = random.one_of(&LEAVES);
        let session = if random.below(6) == 0 { "--user-session=no" } else { "" };
        let end = random.one_of(&ENDS);
        let pause = random.below(10);
        let _ = writeln!(
            script,
            "cd ~{user}; job=$(setpriv --reuid={user} --regid={user} --init-groups --reset-env \
             sbatch --parsable --requeue --mem={memory} \
             {session} --output=/dev/null <<'END'\n\
             #!/bin/bash\n{leave}\nsleep $(({tenths} / 10)).$(({tenths} % 10))\nEND\n)\n\
             sleep 0.{pause}; {{ {end}; }} 2>/dev/null"
        );
    }
    let last = hears("slurmd", &epilog_of("$job"));
    script
        + &format!(
            "while [ $SECONDS -lt 200 ]; do {last}; [ -z \"$(squeue --noheader)\" ] && exit 0; done; squeue; exit 1"
        )
}

/// Show that random mixes of jobs in a row leave the node as it was.
#[test]
fn mixes_leave_nothing() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = env::var(SEED).map_or(now, |seed| seed.parse().expect("a number"));
    let mut random = Random::new(seed);
    for number in 1..=many(8, 50) {
        let script = mix(&mut random);
        println!("mix {number} of {SEED}={seed}:\n{script}");
        N1.sh(&script).ok();
        N1.is_again(&before);
    }
}
