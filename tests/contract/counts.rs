//! What the callbacks cost in system calls, instructions and calls on the bus: counts, because times
//! of an emulated node are none. `cargo xtask bench` has the times.

use cluster_tests::{Batch, N1, QUICK, Started, put_compiled};

use crate::place::{behind, cold_node, stepd};

/// The most that a callback may cost beyond slurmstepd without a plugin.
struct Bound {
    callback: &'static str,
    syscalls: i64,
    instructions: i64,
    calls: &'static [&'static str],
}

/// Beside another job of the user's: files tell all. A tenth over what Debian 13 with Slurm 24.11 needs. Sixteen calls
/// of a prolog look whether a job had a session of its own that has to be ended first.
const WARM: [Bound; 2] = [
    Bound { callback: "prolog", syscalls: 142, instructions: 440_000, calls: &[] },
    Bound { callback: "epilog", syscalls: 190, instructions: 540_000, calls: &[] },
];

/// Without one, where the prolog waits. It asks 385 to 400 times and an epilog 450 on a host with nothing else to do; systemd may take
/// longer and is asked again then: the least of eight was 412 on CI's host.
const COLD: [Bound; 2] = [
    Bound {
        callback: "prolog",
        syscalls: 450,
        instructions: 2_640_000,
        calls: &[
            "Hello",
            "GetAll",
            "SetUnitProperties",
            "Subscribe",
            "AddMatch",
            "ListUnitsByNames",
            "SetUserLinger",
            "ListUnitsByNames",
        ],
    },
    Bound {
        callback: "epilog",
        syscalls: 500,
        instructions: 1_900_000,
        calls: &[
            "Hello",
            "Subscribe",
            "AddMatch",
            "SetUserLinger",
            "ListUnitsByNames",
            "SetUnitProperties",
        ],
    },
];

/// All callbacks of a step of one task, with what it takes to load the plugin.
const STEP: Bound = Bound { callback: "step", syscalls: 183, instructions: 400_000, calls: &[] };

/// System calls of an epilog beside 256 leases of its user's: their names, in five reads, and three jobs that are seen
/// to go on.
const MORE_BESIDE_MANY: i64 = 75;

/// The last number of the line that a tool ends with.
const COUNT: &str = "\
    mkdir -p /tmp/contract\n\
    counted() { echo \"$1 syscalls $(awk '$NF == \"total\" { print $4 }' /tmp/contract/strace)\"; \
        echo \"$1 instructions $(awk '/Collected/ { print $NF }' /tmp/contract/callgrind)\"; }\n\
    trace='strace -f -c -o /tmp/contract/strace'\n\
    grind='valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file=/tmp/contract/callgrind'\n\
    patience=500\n";

/// An emulated node takes half a minute for what valgrind makes of a callback.
const ARGUMENTS: &str = "timeout=400 on_error=drain";
const PATIENCE_S: u32 = 1200;

/// CI's cores were busy in three rounds of three once.
const MORE_TRIES: u32 = 7;

/// What a prolog and an epilog cost, in this order: system calls, instructions.
fn counts(plugin: bool) -> [[i64; 2]; 2] {
    let (stepd, line) =
        (stepd(ARGUMENTS), if plugin { "" } else { ": >/tmp/contract/plugstack.conf\n" });
    let script = format!(
        "{stepd}{line}{COUNT}under=$trace; stepd prolog; cp /tmp/contract/strace /tmp/contract/prolog\n\
         stepd epilog; cp /tmp/contract/strace /tmp/contract/epilog\n\
         under=$grind; for callback in prolog epilog; do stepd $callback\n\
         mv /tmp/contract/$callback /tmp/contract/strace; counted $callback; done"
    );
    let all = N1.sh_within(PATIENCE_S, &script).ok();
    assert_eq!(all.stdout.matches(": exit 0").count(), 4, "{all:?}");
    assert_eq!(
        all.stdout.matches("open session: done").count(),
        2 * usize::from(plugin),
        "{all:?}"
    );
    ["prolog", "epilog"].map(|callback| numbers(callback, &all.stdout))
}

fn numbers(callback: &str, printed: &str) -> [i64; 2] {
    ["syscalls", "instructions"].map(|quantity| {
        let line = printed.lines().find_map(|line| {
            line.strip_prefix(&format!("{callback} {quantity} "))?.replace(',', "").parse().ok()
        });
        line.unwrap_or_else(|| panic!("no {quantity} of the {callback}: {printed}"))
    })
}

impl Bound {
    fn has_room(&self, ours: [i64; 2], floor: [i64; 2]) -> bool {
        ours[0] - floor[0] <= self.syscalls && ours[1] - floor[1] <= self.instructions
    }

    fn holds(&self, how: &str, [syscalls, instructions]: [i64; 2], floor: [i64; 2]) {
        let (syscalls, instructions) = (syscalls - floor[0], instructions - floor[1]);
        let callback = self.callback;
        println!("{how} {callback}: {syscalls} system calls, {instructions} instructions");
        assert!(syscalls > 0 && instructions > 0, "{how} {callback}: the plugin did nothing");
        assert!(syscalls <= self.syscalls, "{how} {callback}: at most {}", self.syscalls);
        assert!(instructions <= self.instructions, "{how} {callback}: {}", self.instructions);
    }
}

/// Of two measurements the less, one by one: what comes on top is the host's.
fn least(mut one: [[i64; 2]; 2], other: [[i64; 2]; 2]) -> [[i64; 2]; 2] {
    let pairs = one.iter_mut().flatten().zip(other.iter().flatten());
    pairs.for_each(|(one, other)| *one = *other.min(one));
    one
}

/// What a prolog, then an epilog, asks on the node's own bus.
fn bounds_hold(how: &str, bounds: &[Bound; 2]) {
    let floor = counts(false);
    let within = |ours: &[[i64; 2]; 2]| {
        let all = bounds.iter().zip(ours.iter().zip(&floor));
        all.into_iter().all(|(bound, (ours, floor))| bound.has_room(*ours, *floor))
    };
    // Where the host holds up a start or an end, systemd is asked once more for each second: the least
    // of several is what they cost.
    let mut ours = counts(true);
    for _ in 0..MORE_TRIES {
        if !within(&ours) {
            ours = least(ours, counts(true));
        }
    }
    let asked = behind("late 0", ARGUMENTS, "stepd prolog; stepd epilog").ok();
    let (_, asked) = asked.stdout.split_once("asked:\nlistening\n").expect("the bus was asked");
    // How often the units are asked for depends on when signals come.
    let mut names = asked.lines().collect::<Vec<_>>();
    names.dedup();
    println!("{how}: {names:?}");
    for (bound, (ours, floor)) in bounds.iter().zip(ours.into_iter().zip(floor)) {
        bound.holds(how, ours, floor);
    }
    let calls = bounds.iter().flat_map(|bound| bound.calls).copied().collect::<Vec<_>>();
    // On a busy machine the session may not be on its way down yet, which may be for a login.
    let again =
        |names: &[&str]| names.windows(2).position(|two| two == ["Get", "ListUnitsByNames"]);
    while let Some(at) = again(&names).filter(|_| names.len() > calls.len()) {
        names.drain(at..at + 2);
    }
    assert_eq!(names, calls, "{how}");
}

/// Show what a job costs beside another one of its user: nothing more than before.
#[test]
fn a_warm_prolog_and_epilog_cost_no_more_than_before() {
    N1.configure(QUICK);
    let other = other_job();
    bounds_hold("warm", &WARM);
    other.cancel();
}

/// Show the same of a job that opens the session and closes it.
#[test]
fn a_cold_prolog_and_epilog_cost_no_more_than_before() {
    let before = cold_node();
    bounds_hold("cold", &COLD);
    N1.is_again(&before);
}

/// Show the same of a step: its callbacks in a process of the job, with and without ours.
#[test]
fn a_step_costs_no_more_than_before() {
    N1.configure(QUICK);
    let job = other_job();
    put_compiled("../xtask/bench/host.c", &["-rdynamic"], "/root/host");
    put_compiled("../xtask/bench/floor.c", &["-shared", "-fPIC"], "/root/floor.so");
    let [ours, floor] = ["$(find /usr/lib -name spank_linger.so)", "/root/floor.so"].map(|plugin| {
        let run = format!("/root/host step step step {plugin} {ARGUMENTS}");
        let script = format!(
            "{COUNT}chmod 755 /root/host; cgroup=$(cut -d: -f3 /proc/$(pgrep --full 'sleep 900')/cgroup)\n\
             echo $$ >/sys/fs/cgroup$cgroup/cgroup.procs; export SLURM_JOBID={} SLURM_UID=1001\n\
             $trace {run} && $grind {run} && counted step",
            job.0
        );
        numbers("step", &N1.sh_within(PATIENCE_S, &script).ok().stdout)
    });
    job.cancel();
    STEP.holds("a", ours, floor);
}

/// Leases beside that of a job that runs, as that many of the same user's would have left them.
const BESIDE: &str = "\
    cd /run/spank-linger/1001; umask 077\n\
    for job in $(seq 1000001 1000255); do for kind in '' .limits .keepers .audit; do\n\
    cp \"$like$kind\" $job$kind; done; done\n";

/// Show that an epilog reads no more of 256 jobs of its user's than of one: what they may use together is noted.
#[test]
fn an_epilog_reads_no_more_beside_many() {
    N1.configure(QUICK);
    let other = other_job();
    let epilog = || {
        let script = format!(
            "{}{COUNT}stepd prolog; stepd epilog; stepd prolog; under=$trace; stepd epilog; counted epilog",
            stepd(ARGUMENTS)
        );
        let counted = N1.sh_within(PATIENCE_S, &script).ok().stdout;
        assert_eq!(counted.matches(": exit 0").count(), 4, "{counted}");
        syscalls("epilog", &counted)
    };
    let beside_one = epilog();
    N1.sh_within(PATIENCE_S, &format!("like={}\n{BESIDE}", other.0)).ok();
    let beside_many = epilog();
    N1.sh("cd /run/spank-linger/1001 && rm -f 1000???*").ok();
    println!("beside one: {beside_one} system calls, beside 256: {beside_many}");
    assert!(beside_many <= beside_one + MORE_BESIDE_MANY, "{beside_one}, {beside_many}");
    other.cancel();
}

/// Show that a prolog that waits for the lock of its user asks less often the longer it waits: 256 that did so a hundred
/// times a second, and looked at three directories each time, left no CPU to the one that had it.
#[test]
fn who_waits_leaves_others_the_cpu() {
    N1.configure(QUICK);
    let other = other_job();
    let waits = |seconds: u32| {
        let script = format!(
            "{}{COUNT}(flock 9; sleep {seconds}) 9</run/spank-linger/1001 & sleep 0.5\n\
             under=$trace; stepd prolog; counted prolog; under=; stepd epilog; wait",
            stepd(ARGUMENTS)
        );
        let counted = N1.sh_within(PATIENCE_S, &script).ok().stdout;
        assert_eq!(counted.matches(": exit 0").count(), 2, "{counted}");
        syscalls("prolog", &counted)
    };
    let (no_wait, wait) = (waits(0), waits(4));
    other.cancel();
    println!("without a wait: {no_wait} system calls, with one of 4 s: {wait}");
    assert!(wait > no_wait + 20 && wait < no_wait + 400, "{no_wait}, {wait}");
}

fn syscalls(callback: &str, counted: &str) -> i64 {
    let of_calls =
        |line: &str| line.strip_prefix(callback)?.strip_prefix(" syscalls ")?.parse().ok();
    counted.lines().find_map(of_calls).unwrap_or_else(|| panic!("{counted}"))
}

/// A job of alice's that stays.
fn other_job() -> Started {
    let job = Batch::of("alice", "echo up; sleep 900").start();
    job.wait_says("up");
    job
}
