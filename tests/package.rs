//! The .deb on a node: `LINGER_PACKAGE` says where `cargo xtask test` has put it.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use cluster_tests::{
    AtEnd, Batch, FILES, GO, LIVE, N1, PLUGIN_DIR, QUICK, RESTART, fresh_node, package, skipped,
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

/// What the plugin writes down before it turns linger on for a job.
const RECORDS: &str = r#"
    umask 077; mkdir /var/lib/spank-linger
    printf '{"version":1,"name":"alice","linger_before":false}' >/var/lib/spank-linger/1001
    printf '{"version":1,"name":"dave","linger_before":true}' >/var/lib/spank-linger/1004"#;

/// Show that after a power loss nobody lingers who did not before, and no session begins
/// for it, on a node whose slurmd does not start; and that whoever lingered before does.
#[test]
fn a_power_loss_is_put_back_without_slurmd() {
    let _end = fresh_node();
    let before = N1.snapshot();
    install();
    let slurmd = AtEnd(format!(
        "loginctl disable-linger alice dave; systemctl enable slurmd; {RESTART}; \
         scontrol update nodename=n1 state=resume"
    ));
    N1.sh(&format!("set -e; {RECORDS}; loginctl enable-linger alice; systemctl disable slurmd"))
        .ok();
    // The worst moment: all that was changed is on the disk.
    N1.sh("sync").ok();
    N1.loses_power_without_slurmd();
    let journal =
        |unit: &str| N1.sh(&format!("journalctl --boot --quiet --unit={unit}")).ok().stdout;
    let boot = journal("spank-linger-boot.service");
    for done in ["uid 1001: does not linger", "uid 1004: lingers"] {
        assert!(boot.contains(done), "{boot}");
    }
    assert_eq!(journal("user@1001.service"), "");
    N1.waits_until("systemctl --quiet is-active user@1004.service");
    let left = N1.sh("ls -A /var/lib/systemd/linger /run/spank-linger /var/lib/spank-linger");
    assert_eq!(
        left.ok().stdout,
        "/run/spank-linger:\n\n/var/lib/spank-linger:\n\n/var/lib/systemd/linger:\ndave\n"
    );
    assert_eq!(N1.sh("systemctl is-active slurmd").stdout, "inactive\n");
    drop(slurmd);
    N1.settles();
    N1.is_again(&before);
}

/// Show that what a job of this boot has written down is left alone when logind is started anew
/// under it, which looks at the unit for a boot again.
#[test]
fn a_restart_of_logind_leaves_a_job_alone() {
    const LOOKED_AT: &str =
        "systemctl show spank-linger-boot --property=ConditionTimestampMonotonic --value";
    // Not all of a snapshot: to be reloaded turns systemd's list of devices around.
    const OF_THE_JOB: &str = "\
        ls -A /run/user /run/spank-linger /var/lib/systemd/linger /var/lib/spank-linger; \
        systemctl show user@1001 --property=MainPID; \
        cat /sys/fs/cgroup/user.slice/user-1001.slice/memory.max";
    let of_the_job = || N1.sh(OF_THE_JOB).ok().stdout;
    let _end = fresh_node();
    let before = N1.snapshot();
    install();
    activate(&format!("echo '{QUICK}' >"));
    let job = Batch::of("alice", &format!("echo up; {GO}; {LIVE}")).start();
    job.wait_says("up");
    let during = of_the_job();
    N1.sh("systemctl daemon-reload; systemctl restart systemd-logind").ok();
    assert_ne!(N1.sh(LOOKED_AT).ok().stdout, "0\n", "the unit was not looked at");
    assert_eq!(of_the_job(), during);
    assert!(during.contains("/var/lib/spank-linger:\n1001\n"), "{during}");
    job.go_to_its_end().says("running dir=/run/user/1001");
    N1.is_again(&before);
}
