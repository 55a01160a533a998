//! What takes two nodes.
// Tests say what they expect by panicking.
#![allow(missing_docs)]

use cluster_tests::{Batch, LIVE, N1, N2, Node, OPTIONAL};

/// The nodes, and what they are before anything is done.
fn configured() -> [(Node, String); 2] {
    [N1, N2].map(|node| {
        node.configure(OPTIONAL);
        (node, node.snapshot())
    })
}

fn are_again(nodes: &[(Node, String)]) {
    for (node, before) in nodes {
        node.is_again(before);
    }
}

/// Show that a job on two nodes has its session on both, and leaves both clean.
#[test]
fn a_job_on_two_nodes_has_two_sessions() {
    let nodes = configured();
    let step = "srun --ntasks-per-node=1 bash -c '(hostname; echo $XDG_RUNTIME_DIR; \
        systemctl --user is-system-running --wait) >task$SLURM_NODEID'";
    Batch::of("alice", step).with("--nodes=2").run().ok();
    for (node, number) in [(N1, 0), (N2, 1)] {
        let said = node.sh(&format!("cat /home/alice/task{number}")).stdout;
        assert_eq!(said, format!("{node}\n/run/user/1001\nrunning\n"));
    }
    are_again(&nodes);
}

/// Show that each component of a heterogeneous job, which is a job of its own, finds its session.
#[test]
fn components_of_a_job_have_theirs() {
    let nodes = configured();
    // No other scheduler has such jobs.
    let scheduler =
        ["SchedulerType=sched/backfill", "SchedulerParameters=bf_interval=1,bf_hetjob_immediate"];
    N1.with_slurm_conf(&scheduler, || {
        let component = format!("--mem=60 bash -c '{LIVE}'");
        let said = N1.sh_as("alice", &format!("srun {component} : {component}")).ok();
        assert_eq!(said.stdout, "running dir=/run/user/1001\n".repeat(2), "{said:#?}");
        are_again(&nodes);
    });
}
