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
    let step = "srun --ntasks-per-node=1 --output=task%n bash -c \
        'hostname; echo $XDG_RUNTIME_DIR; systemctl --user is-system-running --wait'";
    let job = Batch::of("alice", step).with("--nodes=2").run();
    let _ = job.ok();
    for (node, number, name) in [(N1, 0, "n1"), (N2, 1, "n2")] {
        let expected = format!("{name}\n/run/user/1001\nrunning\n");
        let said = N1.sh(&format!("cat /home/alice/task{number}")).stdout
            + &N2.sh(&format!("cat /home/alice/task{number}")).stdout;
        assert_eq!(said, expected);
        node.sh(&format!("grep -c 'open session: done' /var/log/slurm/slurmd.log")).ok();
    }
    N1.is_again(&before[0]);
    N2.is_again(&before[1]);
}
