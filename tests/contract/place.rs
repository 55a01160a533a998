//! Where `slurmstepd spank` runs: alone, with a bus that the test chose.

use std::path::Path;
use std::sync::Once;

use cluster_tests::{N1, OPTIONAL, Output};

/// Slurm's files for a prolog and an epilog without a daemon, and how they are run:
/// under what `under` says, for `patience` seconds at most.
const STEPD: &str = "\
    mkdir -p /tmp/contract; sed '/^PlugStackConfig/d' /etc/slurm/slurm.conf >/tmp/contract/slurm.conf\n\
    echo PlugStackConfig=/tmp/contract/plugstack.conf >>/tmp/contract/slurm.conf\n\
    stepd() { SLURM_CONF=/tmp/contract/slurm.conf SLURM_JOBID=77 SLURM_UID=1001 SLURM_JOB_GID=1001 \
        timeout ${patience:-60} $under /usr/sbin/slurmstepd spank $1 </dev/null 2>&1; echo \"$1: exit $?\"; }\n";

/// A place of its own for all that the plugin touches.
const PLACE: &str = "\
    for dir in /run/dbus /run/user /run/spank-linger /var/lib/spank-linger /var/lib/systemd/linger; do \
        mkdir -p -m 700 $dir; mount -t tmpfs -o mode=700 tmpfs $dir; done\n\
    mkdir /run/user/1001; chmod 755 /run/user /run/dbus\n\
    mount -t tmpfs -o mode=700,uid=1001,gid=1001 tmpfs /run/user/1001\n";

/// Runs `script` in a place of its own with a bus that follows `bus`, and gives
/// what the plugin said, then what the bus was asked, then what is left.
pub(crate) fn contract(bus: &str, arguments: &str, script: &str) -> Output {
    alone(&begin(&format!("/root/scripted-bus {bus} 1001")), arguments, script)
}

/// The same with a bus that works, behind a fault.
pub(crate) fn contract_behind(fault: &str, arguments: &str, script: &str) -> Output {
    let begin = format!(
        "{}mv /run/dbus/system_bus_socket /run/dbus/behind\n{}",
        begin("/root/scripted-bus works 1001").replace("asked", "behind"),
        begin(&format!("/root/faulty-bus /run/dbus/system_bus_socket /run/dbus/behind {fault}"))
    );
    alone(&begin, arguments, script)
}

fn alone(begin: &str, arguments: &str, script: &str) -> Output {
    put_buses();
    let stepd = stepd(arguments);
    N1.sh(&format!(
        "unshare --mount --propagation=private bash -s <<'END'\n\
         set -e\n{PLACE}{stepd}{begin}set +e\n{script}\n\
         echo asked:; cat /tmp/contract/asked\n\
         find /run/spank-linger /var/lib/spank-linger /var/lib/systemd/linger -mindepth 1\nEND"
    ))
}

/// The look of the node without a session, of this test's or of one that failed.
pub(crate) fn cold_node() -> String {
    N1.configure(OPTIONAL);
    N1.sh(&format!("{}stepd epilog", stepd(""))).ok();
    N1.snapshot()
}

/// The shell function `stepd`, with the plugin's arguments.
pub(crate) fn stepd(arguments: &str) -> String {
    let line = format!("required spank_linger.so log_level=debug {arguments}");
    format!("{STEPD}echo '{line}' >/tmp/contract/plugstack.conf\n")
}

/// Starts what listens as the bus, until the script ends. What the one before it said is not its own.
fn begin(bus: &str) -> String {
    format!(
        "rm -f /tmp/contract/asked\n{bus} </dev/null >/tmp/contract/asked 2>&1 &\n\
         trap 'kill $(jobs -p)' EXIT\n\
         until grep -q listening /tmp/contract/asked; do sleep 0.1; done\n"
    )
}

/// Puts the programs on the node that pretend to be its bus.
fn put_buses() {
    static PUT: Once = Once::new();
    PUT.call_once(|| {
        N1.put(Path::new(env!("CARGO_BIN_EXE_scripted-bus")), "/root/scripted-bus");
        N1.put(Path::new(env!("CARGO_BIN_EXE_faulty-bus")), "/root/faulty-bus");
        N1.sh("chmod 755 /root/*-bus").ok();
    });
}

/// Runs `script` with the node's own bus behind a fault, and gives what the plugin
/// said, then what the bus was asked.
pub(crate) fn behind(fault: &str, arguments: &str, script: &str) -> Output {
    put_buses();
    let bus = "/run/dbus/system_bus_socket";
    let begin = begin(&format!("/root/faulty-bus /tmp/contract/bus {bus} {fault}"));
    let stepd = stepd(arguments);
    N1.sh(&format!(
        "mkdir -p /tmp/contract; rm -f /tmp/contract/bus; set -e\n{begin}set +e\n\
         unshare --mount --propagation=slave bash -s <<'END'\n\
         mount --bind /tmp/contract/bus {bus}\n{stepd}{script}\nEND\n\
         echo asked:; cat /tmp/contract/asked"
    ))
}
