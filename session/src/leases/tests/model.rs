//! Random sequences of what can happen on a node, against a simulated systemd
//! and logind: whatever came before, the node is put back as it was.

mod invariants;
mod logind;
mod questions;
mod slice;
mod slurm;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::limits::amounts::Limits;
use crate::outside::apart::is_done_alone;
use crate::outside::properties::{INFINITY, Name, Properties, Property};
use crate::terms::cpus::CpuSet;
use crate::terms::job::Role;
use invariants::Checked;
use slurm::Trouble;
use world::World;

/// Random sequences, each of up to [`LENGTH`] operations.
const SEQUENCES: u32 = 2000;
const LENGTH: usize = 30;

/// So few that ids are used again, and so many that jobs meet.
const JOBS: std::ops::RangeInclusive<u32> = 1..=4;

/// Hardly any operation passes more points at which it can be killed, and none
/// asks more unless the manager hangs.
const POINTS: u32 = 40;
const QUESTIONS: u32 = 16;

/// What can happen on a node.
#[derive(Clone, Debug)]
enum Operation {
    Prolog { id: u32, trouble: Trouble },
    Step { id: u32, is_extern: bool, limits: Limits, trouble: Trouble },
    End { id: u32, epilog: Option<Trouble> },
    SlurmdStarts(Trouble),
    GuardCalls { is_due: bool, trouble: Trouble },
    Reboot,
    AdminLinger(bool),
    Login(bool),
    SharedMemory(bool),
    ManagerKilled { leaves_its_directory: bool },
    TimePasses,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        5 => Just(Trouble::None),
        2 => (0..POINTS).prop_map(Trouble::Kill),
        2 => (0..POINTS / 4).prop_map(Trouble::Kill),
        2 => (1..QUESTIONS, any::<bool>())
            .prop_map(|(from, does_it)| Trouble::NoBus { from, does_it }),
        1 => Just(Trouble::Masked),
        1 => Just(Trouble::Hangs),
    ]
}

/// In pages, since the kernel knows no less.
fn bytes() -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(0.8, (1..100_u64).prop_map(|pages| pages << 12))
}

fn limits() -> impl Strategy<Value = Limits> {
    let cpus = proptest::option::weighted(0.8, (0..4_u32, 0..4_u32));
    let tasks = proptest::option::of(1..100_u64);
    (bytes(), bytes(), tasks, cpus).prop_map(|(memory, swap, tasks, cpus)| {
        let cpus = cpus.map(|(one, two)| format!("{one},{two}").parse::<CpuSet>().unwrap());
        Limits { memory, swap, tasks, cpus, ..Limits::default() }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        AdminLinger, End, GuardCalls, Login, ManagerKilled, Prolog, Reboot, SharedMemory,
        SlurmdStarts, Step, TimePasses,
    };
    let epilog = proptest::option::weighted(0.75, trouble());
    prop_oneof![
        6 => (JOBS, trouble()).prop_map(|(id, trouble)| Prolog { id, trouble }),
        6 => (JOBS, proptest::bool::weighted(0.7), limits(), trouble()).prop_map(
            |(id, is_extern, limits, trouble)| Step { id, is_extern, limits, trouble }
        ),
        7 => (JOBS, epilog).prop_map(|(id, epilog)| End { id, epilog }),
        2 => trouble().prop_map(SlurmdStarts),
        3 => (any::<bool>(), trouble())
            .prop_map(|(is_due, trouble)| GuardCalls { is_due, trouble }),
        1 => Just(Reboot),
        2 => any::<bool>().prop_map(AdminLinger),
        1 => any::<bool>().prop_map(Login),
        1 => any::<bool>().prop_map(SharedMemory),
        1 => any::<bool>().prop_map(|leaves_its_directory| ManagerKilled { leaves_its_directory }),
        2 => Just(TimePasses),
    ]
}

/// The slice as the admin wants it: by files in /etc, and by what was set at run
/// time.
fn slice() -> impl Strategy<Value = (Properties, Vec<Property>)> {
    let memory_max = bytes().prop_map(|bytes| bytes.unwrap_or(INFINITY));
    let at_run_time = proptest::option::of(1..100_u64);
    (memory_max, at_run_time).prop_map(|(memory_max, at_run_time)| {
        let properties = Properties {
            memory_max,
            memory_swap_max: INFINITY,
            tasks_max: 50,
            allowed_cpus: vec![0b0111],
            device_policy: "auto".into(),
            device_allow: Vec::new(),
        };
        (
            properties,
            at_run_time.map(|tasks| Property::Number(Name::TasksMax, tasks)).into_iter().collect(),
        )
    })
}

/// No file of sequences that failed: proptest prints the shortest one. More with
/// the variable PROPTEST_CASES.
fn config() -> Config {
    let default = Config::default();
    let cases = SEQUENCES.max(default.cases);
    Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..default }
}

impl Checked {
    fn perform(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Prolog { id, trouble } => self.prolog(id, trouble),
            Operation::Step { id, is_extern, limits, trouble } => {
                let role = if is_extern { Role::Extern } else { Role::Step };
                self.step(id, role, limits, trouble);
            }
            Operation::End { id, epilog } => self.end(id, epilog),
            Operation::SlurmdStarts(trouble) => self.slurmd_starts(trouble),
            Operation::GuardCalls { is_due, trouble } => {
                if self.world.logind.is_guarded {
                    self.guard_calls(is_due, trouble);
                }
            }
            Operation::Reboot => self.reboot(),
            Operation::AdminLinger(on) => self.world.logind.linger(on),
            Operation::Login(on) => self.world.logind.log_in(on),
            Operation::SharedMemory(on) => self.world.share_memory(on),
            Operation::ManagerKilled { leaves_its_directory } => {
                self.world.logind.kill(leaves_its_directory);
            }
            Operation::TimePasses => drop(self.world.logind.pass_time()),
        }
    }
}

/// Show that whatever happens in whatever order, what [`invariants`] says holds.
#[test]
fn whatever_happens_the_node_is_put_back() {
    if is_done_alone("leases::tests::model::whatever_happens_the_node_is_put_back") {
        return;
    }
    let keep = prop_oneof![1 => Just(0), 2 => Just(30)].prop_map(Duration::from_secs);
    let sequences = (slice(), keep, proptest::collection::vec(operation(), 1..=LENGTH));
    let done =
        TestRunner::new(config()).run(&sequences, |((of_admin, at_run_time), keep, operations)| {
            let mut node = Checked { world: World::new(of_admin, at_run_time, keep) };
            for operation in &operations {
                node.perform(operation);
            }
            Ok(())
        });
    done.unwrap_or_else(|failure| panic!("{failure}"));
}
