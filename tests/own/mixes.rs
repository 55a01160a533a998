//! Jobs of one user that overlap, begin and end in any order: none meets another.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use cluster_tests::{N1, Started, many};
use hostile_input::Random;

use super::{books_are_right, configured, job, nothing_is_left};

/// Repeats a run that failed: the number that it printed.
const SEED: &str = "LINGER_MIX_SEED";

/// Of each job: a container of its own, which is in its cgroup.
const BEGINS: &str = r#"
name=m$SLURM_JOB_ID
wrong() { echo "WRONG: $*"; }
podman run --detach --name=$name --network=none --replace $image sleep 7100 >/dev/null || wrong run
case $(home /proc/$(podman inspect --format '{{.State.Pid}}' $name)/cgroup) in
    MINE/step_extern/user/session/*) ;; *) wrong "$name is in another job";; esac
"#;

/// What it does then.
const ACTS: [&str; 8] = [
    "podman exec $name true || wrong exec",
    "srun --overlap podman exec $name true || wrong 'exec from a step'",
    "systemd-run --user --wait --quiet true || wrong unit",
    "systemctl --user set-environment JOB=$name; sleep 0.5
     systemctl --user show-environment | grep --quiet JOB=$name || wrong environment",
    "$box $image true || wrong 'another container'",
    "$box --health-cmd=true --health-interval=1s $image sleep 2 || wrong 'health check'",
    "{ podman network exists net$name || podman network create net$name; } >/dev/null
     podman network rm net$name >/dev/null || wrong network",
    "sleep 1",
];

/// How it ends.
const ENDS: [&str; 4] = [
    "podman stop --time=0 $name >/dev/null || wrong stop; podman rm $name >/dev/null || wrong rm; echo over",
    "podman rm --force --time=0 $name >/dev/null || wrong rm; echo over",
    "echo over",
    "echo over; sleep 7101",
];

fn script(random: &mut Random) -> String {
    let acts = (0..=random.below(3)).map(|_| format!("{}\n", random.one_of(&ACTS)));
    let acts = acts.collect::<String>();
    format!("{BEGINS}{acts}{}", random.one_of(&ENDS))
}

/// Waits until it has come to its end, which is to be one that it has chosen.
fn is_over(started: Started) {
    let end = format!(
        "grep --quiet over /tmp/out.{0} || [ -z \"$(squeue --noheader --jobs={0})\" ]",
        started.0
    );
    N1.waits_until(&end);
    N1.sh(&format!("scancel {}", started.0));
    started.wait_over();
    started.output().says("over").never_says("WRONG").never_says("level=");
}

/// Show that of random mixes of jobs of one user each has its own containers, bus and books that are right, and that
/// all of them end with their job.
#[test]
fn no_mix_of_jobs_meets() {
    configured(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seed = env::var(SEED).map_or(now, |seed| seed.parse().expect("a number"));
        let mut random = Random::new(seed);
        for number in 1..=many(1, 100) {
            let scripts: Vec<_> = (0..2 + random.below(2)).map(|_| script(&mut random)).collect();
            println!("mix {number} of {SEED}={seed}: {scripts:#?}");
            let jobs = scripts.iter().map(|script| {
                N1.sh(&format!("sleep 0.{}", random.below(10)));
                job(script).with("--mem=120").start()
            });
            let mut jobs: Vec<_> = jobs.collect();
            if random.below(2) == 0 {
                jobs.reverse();
            }
            jobs.into_iter().for_each(is_over);
            books_are_right(&[]);
            nothing_is_left();
        }
    });
}
