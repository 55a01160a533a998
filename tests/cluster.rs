//! What takes two nodes.
// Tests say what they expect by panicking.
#![allow(missing_docs)]

use cluster_tests::{Batch, N1, N2, OPTIONAL};

/// Show that a job on two nodes has its session on both, and leaves both clean.
#[test]
fn a_job_on_two_nodes_has_two_sessions() {
    N1.configure(OPTIONAL);
    N2.configure(OPTIONAL);
    let before = [N1, N2].map(cluster_tests::Node::snapshot);
    let step = "srun --ntasks-per-node=1 bash -c '(hostname; echo $XDG_RUNTIME_DIR; \
        systemctl --user is-system-running --wait) >task$SLURM_NODEID'";
    Batch::of("alice", step).with("--nodes=2").run().ok();
    for (node, number) in [(N1, 0), (N2, 1)] {
        let said = node.sh(&format!("cat /home/alice/task{number}")).stdout;
        assert_eq!(said, format!("{node}\n/run/user/1001\nrunning\n"));
    }
    for (node, before) in [N1, N2].into_iter().zip(before) {
        node.is_again(&before);
    }
}
