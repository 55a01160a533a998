//! What a node keeps does not grow with what has been.
// Tests say what they expect by panicking.
#![allow(missing_docs)]

use cluster_tests::{Batch, GO, LIVE, N1, QUICK, leaves_nothing};

/// Where the plugin keeps what it knows of alice.
const STATE: &str = "/run/spank-linger/1001";

/// Show that the lists of a job with 10,000 steps behind it, and of as many that have
/// ended beside it, are short after its next steps; and that the job's lease, its
/// session, and what ends its leftovers are not lost with the rest.
#[test]
fn thousands_of_steps_leave_short_lists() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let daemon = "systemd-run --user --scope --quiet setsid --fork sleep 7311";
    let steps = format!("srun true; srun true; srun bash -c '{LIVE}'; echo stepped");
    let id = "echo id $(cat /proc/self/sessionid)";
    let script = format!("{daemon}; {id}; echo up; {GO}; {steps}; sleep 900");
    let job = Batch::of("alice", &script).start();
    job.wait_says("up");

    // No process of the node has such a number with such a start, or such an id.
    let list = format!("{STATE}/{}", job.0);
    let fill = format!(
        "cd {STATE}; umask 077; ids=$(seq 4000000001 4000010000)\n\
         seq --format='step %.0f 7' 100001 110000 >>{list}.keepers\n\
         for audit in {list}.audit ended.audit; do echo \"$ids\" >>$audit; done\n"
    );
    // A job whose epilog never came: whoever sweeps adds to the list of ended jobs.
    let ended = "echo '{\"version\":1,\"state\":\"open\"}' >999999; \
                 echo extern 4000000 7 >999999.keepers; echo 4000010001 >999999.audit";
    N1.sh(&format!("{fill}{ended}")).ok();
    job.go();
    job.wait_says("stepped");
    Batch::of("alice", LIVE).run().ok().says("running");

    let long = format!("find {STATE} -type f -size +8k -exec ls -l {{}} +; ls {STATE}");
    N1.sh(&long).ok().never_says("root").never_says("999999").says("ended.audit");
    N1.sh(&format!("grep open {list}; grep '^extern ' {list}.keepers")).ok();
    let said = job.output().says("running dir=/run/user/1001");
    N1.sh(&format!("grep --line-regexp {} {list}.audit", said.value("id "))).ok();
    leaves_nothing(job, 7311);
    N1.is_again(&before);
}
