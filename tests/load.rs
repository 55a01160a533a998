//! Many jobs of many users at once, some of which are cancelled, and some of
//! whose prologs are killed.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, N1, by_hand, many};

const TIMEOUT_S: u32 = 120;

/// Five users' jobs, 12 at once, of up to 3 s; one in ten is cancelled, and one
/// prolog in twenty is killed. Slurm drains the node for that and holds the job.
const LOAD: &str = r#"
RANDOM=$seed
users=(alice bob carol dave erin)
submit() {
    sbatch --parsable --uid="${users[RANDOM % 5]}" --output=/tmp/load/%j --chdir=/tmp --mem=40 <<END
#!/bin/bash
systemctl --user is-active basic.target && echo had its session
sleep $((RANDOM % 3)).$((RANDOM % 10))
END
}
mkdir -m 1777 /tmp/load; killed=' ' cancelled=0 kills=0 met=0
scontrol update nodename=n1 state=resume 2>/dev/null
for number in $(seq "$jobs"); do
    while [ "$(squeue --noheader | wc -l)" -ge 12 ]; do mend; done
    id=$(submit)
    if [ $((RANDOM % 10)) = 0 ]; then scancel "$id"; cancelled=$((cancelled + 1)); touch /tmp/load/$id.cancelled; fi
    mend
done
while [ -n "$(squeue --noheader)" ]; do mend; done
"#;

/// Kills one prolog in twenty of those it meets in a second, and lets the held jobs go on.
const MEND: &str = r#"
mend() {
    for moment in 1 2 3; do
        for pid in $(pgrep --full 'slurmstepd spank prolog'); do
            case $killed in *" $pid "*) continue ;; esac
            killed="$killed$pid "; met=$((met + 1))
            [ $((met % 20)) != 3 ] || { kill -KILL "$pid"; kills=$((kills + 1)); }
        done
        pause 0.2
    done
    sinfo --noheader --format=%T | grep --invert-match --quiet drain || scontrol update nodename=n1 state=resume
    squeue --noheader --states=PD --format='%A %r' | sed -n 's/ .*held$//p' |
        xargs --no-run-if-empty --max-args=1 scontrol release
}
"#;

/// What came of it. A prolog is timed by its own line in the log.
const FIGURES: &str = r#"
missed=0
for out in /tmp/load/*[0-9]; do
    grep --quiet 'had its session' "$out" || [ -e "$out.cancelled" ] || { missed=$((missed + 1)); cat "$out"; }
done
times=$(sed -n 's/.*open session: done in \([0-9]*\) ms.*/\1/p' /var/log/slurm/slurmd.log | sort -n)
echo "jobs=$jobs cancelled=$cancelled prologs_met=$met missed=$missed"
echo "killed=$kills"
echo "prologs=$(echo "$times" | wc -l) median_ms=$(echo "$times" | sed -n "$(( ($(echo "$times" | wc -l) + 1) / 2 ))p")"
echo "max_ms=$(echo "$times" | tail -n 1)"
"#;

/// Show that under load no job misses its session for our doing, no prolog takes
/// longer than its timeout after as long a wait for another one of the user, and the node is as it was when all are over.
#[test]
fn a_busy_node_is_as_it_was() {
    // 300 take a quarter of an hour.
    let jobs = by_hand(many(20, 60));
    N1.configure(&format!("optional spank_linger.so log_level=debug timeout={TIMEOUT_S} grace=1"));
    N1.sh("useradd --uid 1005 erin; truncate --size=0 /var/log/slurm/slurmd.log").ok();
    let end = AtEnd(
        "scontrol update nodename=n1 state=resume; scancel --state=PD; userdel erin; rm -rf /tmp/load".into(),
    );
    let before = N1.snapshot();
    let seed = std::process::id();
    let script = format!("jobs={jobs}; seed={seed}; echo seed=$seed\n{MEND}{LOAD}{FIGURES}");
    let done = N1.sh_within(300 + jobs * 60, &script).ok();
    println!("{}", done.stdout);
    let max: u32 = done.value("max_ms=").parse().expect("a prolog was timed");
    assert!(max <= 2 * TIMEOUT_S * 1000, "a prolog took {max} ms");
    N1.settles();
    N1.is_again(&before);
    done.says("missed=0\n").kills_at_least((jobs / 40).max(1));
    drop(end);
}
