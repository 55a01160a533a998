//! The .deb on a node: `LINGER_PACKAGE` says where `cargo xtask test` has put it.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use cluster_tests::{
    Batch, FILES, LIVE, N1, PLUGIN_DIR, QUICK, RESTART, fresh_node, package, skipped,
};

/// slurmd's process.
const PROCESS: &str = "systemctl show slurmd --property=MainPID";

const PODMAN: &str = "podman info --format '{{.Host.CgroupManager}}'; \
    podman run --rm --network=none localhost/busybox echo in the container";

fn install() {
    N1.put(&package(), "/root/linger.deb");
    N1.sh("dpkg --install /root/linger.deb; status=$?; rm /root/linger.deb; exit $status").ok();
}

/// Turns the plugin on by what writes the file at its end, and has slurmd look.
fn activate(by: &str) {
    N1.sh(&format!("{by} /etc/slurm/plugstack.conf.d/linger.conf; {RESTART}")).ok();
    N1.settles();
}

/// Where Slurm finds the plugin.
fn linked() -> String {
    N1.sh(&format!("readlink $({PLUGIN_DIR})/spank_linger.so")).stdout.trim().to_owned()
}

fn slurmds_process() -> String {
    N1.sh(PROCESS).ok().stdout.trim().to_owned()
}

fn alice_has_no_session() {
    let job = Batch::of("alice", LIVE).run();
    assert!(job.stdout.ends_with("dir=\n"), "{job:#?}");
}

/// Show that installing changes no job, that one link turns the plugin on, and
/// that nothing is left when the package is removed.
#[test]
fn it_is_installed_activated_and_removed() {
    let _end = fresh_node();
    let (before, files, slurmd) = (N1.snapshot(), N1.sh(FILES).ok().stdout, slurmds_process());
    install();
    let plugin = format!("/usr/lib/slurm-spank-linger/{}/spank_linger.so", N1.slurm());
    assert_eq!(linked(), plugin);
    assert_eq!(slurmds_process(), slurmd, "slurmd was restarted");
    alice_has_no_session();
    activate("ln -s /usr/share/slurm-spank-linger/linger.conf");
    let podman = Batch::of("alice", PODMAN).run().ok().never_says("level=warning");
    podman.says("systemd\nin the container\n");
    N1.is_again(&before);
    N1.sh("dpkg --remove slurm-spank-linger").ok().complains("linger.conf is removed");
    alice_has_no_session();
    N1.sh(RESTART).ok();
    N1.settles();
    alice_has_no_session();
    N1.is_again(&before);
    assert_eq!(N1.sh(FILES).ok().stdout, files);
}

/// Show that the link follows Slurm when a package changes its files, and that
/// slurmd then looks again, as it has refused the plugin for the release before.
#[test]
fn it_follows_slurm() {
    if N1.slurm() != "24.11" {
        return skipped("what dpkg does is tried on one release");
    }
    let _end = fresh_node();
    install();
    activate(&format!("echo '{QUICK}' >"));
    let plugin = linked();
    N1.sh(&format!(
        "ln -sfn /usr/lib/slurm-spank-linger/20.11/spank_linger.so $({PLUGIN_DIR})/spank_linger.so\n\
         {RESTART}"
    ))
    .ok();
    N1.settles();
    alice_has_no_session();
    let slurmd = slurmds_process();
    N1.sh(&format!(
        "set -e; tree=$(mktemp -d); chmod 755 $tree; directory=$tree$({PLUGIN_DIR})\n\
         mkdir -p $tree/DEBIAN $directory; touch $directory/newer_slurm.so\n\
         printf 'Package: newer-slurm\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\n\
         Description: none\\n' >$tree/DEBIAN/control\n\
         dpkg-deb --build $tree $tree.deb; dpkg --install $tree.deb; rm -r $tree $tree.deb"
    ))
    .ok()
    .complains(&format!("is for Slurm {} now", N1.slurm()));
    assert_eq!(linked(), plugin);
    N1.waits_until(&format!("[ \"$({PROCESS})\" != {slurmd} ]"));
    N1.settles();
    Batch::of("alice", LIVE).run().ok().says("running dir=/run/user/1001\n");
}
