//! What the packages' setup script does, on machines that are made up.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod machine;

use std::fs;
use std::process::Command;

use machine::{ACTIVATION, DEBIAN, Machine};

/// Show that the plugin for the installed release is linked where its plugins are,
/// whoever packaged it, and that a submit host without slurmd has it too.
#[test]
fn the_right_plugin_is_linked() {
    for (program, says, plugins, release) in [
        ("usr/sbin/slurmd", "slurm-wlm 24.11.5", DEBIAN, "24.11"),
        ("usr/sbin/slurmd", "slurm 26.05.0-0rc1", "usr/lib64/slurm", "26.05"),
        ("usr/sbin/slurmd", "slurm 24.11.0", "usr/lib/x86_64-linux-gnu/slurm", "24.11"),
        ("usr/local/sbin/slurmd", "slurm 24.11.0", "usr/local/lib/slurm", "24.11"),
        ("opt/slurm/sbin/slurmd", "slurm 26.05.1", "opt/slurm/lib/slurm", "26.05"),
        ("usr/bin/srun", "slurm 26.05.1", "usr/lib64/slurm", "26.05"),
    ] {
        let machine = Machine::new().with_slurm(program, says, plugins);
        let said = machine.link();
        assert_eq!(machine.release_in(plugins).as_deref(), Some(release), "{says}: {said}");
        assert_eq!(machine.link(), "", "the second time there is nothing to do");
    }
}

/// Show that PluginDir of slurm.conf is believed, also one of several directories.
#[test]
fn plugin_dir_is_believed() {
    let machine = Machine::debian("slurm 24.11.1");
    machine.put("apps/slurm/auth_none.so", "");
    machine
        .put("etc/slurm/slurm.conf", "#PluginDir=/no\n plugindir = /apps/site:/apps/slurm # 2\n");
    machine.link();
    assert_eq!(machine.release_in("apps/slurm").as_deref(), Some("24.11"));
    assert_eq!(machine.release_in("apps/site"), None);
    assert_eq!(machine.release_in(DEBIAN), None);
}

/// Show that no Slurm and an unknown one have no link, that it is said, and that
/// the link comes with the Slurm it is for, and goes with it.
#[test]
fn a_slurm_that_is_not_served_has_no_link() {
    let machine = Machine::new();
    assert!(machine.link().contains("no Slurm is installed"));
    let machine = machine.with_slurm("usr/sbin/slurmd", "slurm 19.05.5", DEBIAN);
    let said = machine.link();
    assert!(said.contains("release '19.05', there are 24.11 26.05"), "{said}");
    assert_eq!(machine.release_in(DEBIAN), None);
    let machine = machine.with_slurm("usr/sbin/slurmd", "slurm 24.11.5", DEBIAN);
    assert!(machine.link().contains("is for Slurm 24.11 now"));
    fs::remove_file(machine.path("usr/sbin/slurmd")).unwrap();
    machine.link();
    assert!(fs::symlink_metadata(machine.path(DEBIAN).join("spank_linger.so")).is_err());
    assert!(!machine.path("var/lib/slurm-spank-linger").exists());
}

/// Show that the link follows Slurm to another release and another directory.
#[test]
fn the_link_follows_slurm() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.link();
    let machine = machine.with_slurm("usr/sbin/slurmd", "slurm 26.05.2", DEBIAN);
    assert!(machine.link().contains("is for Slurm 26.05 now"));
    assert_eq!(machine.release_in(DEBIAN).as_deref(), Some("26.05"));
    machine.put("opt/other/auth_munge.so", "");
    machine.put("etc/slurm/slurm.conf", "PluginDir=/opt/other\n");
    machine.link();
    assert_eq!(machine.release_in("opt/other").as_deref(), Some("26.05"));
    assert_eq!(machine.release_in(DEBIAN), None);
}

/// Show that a Slurm whose plugins are nowhere to be found is named.
#[test]
fn a_missing_plugin_directory_is_said() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.put("etc/slurm/slurm.conf", "PluginDir=/nowhere\n");
    let said = machine.link();
    assert!(said.contains("set PluginDir in slurm.conf"), "{said}");
}

/// Show that a plugin directory that other hosts have too is neither linked into nor
/// removed from, and that it is said, once, what does so.
#[test]
fn what_other_hosts_have_too_is_left_alone() {
    for kind in ["nfs", "nfs4", "lustre", "gpfs", "cifs", "ceph", "beegfs_nodev", "fuse.sshfs"] {
        let plugins = "opt/slurm/lib/slurm";
        let machine = Machine::new()
            .with_slurm("opt/slurm/sbin/slurmd", "slurm 24.11.5", plugins)
            .with_mount(kind, "opt/slurm");
        let link = machine.path(plugins).join("spank_linger.so").display().to_string();
        let by_hand = format!("ln -sfn /usr/lib/slurm-spank-linger/24.11/spank_linger.so {link}");
        let said = machine.link();
        assert!(said.contains(&format!("is on {kind}, for other hosts too")), "{said}");
        assert!(said.ends_with(&format!("run once: {by_hand}\n")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(machine.release_in(plugins), None);
        assert!(Command::new("sh").args(["-c", &by_hand]).status().unwrap().success());
        assert_eq!(machine.link(), "", "{kind}: it is done");
        let said = machine.setup("remove");
        assert!(said.ends_with(&format!("run once: rm {link}\n")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(machine.release_in(plugins).as_deref(), Some("24.11"));
    }
}

/// Show that an activation that other hosts have too stays, for the same reason.
#[test]
fn an_activation_of_other_hosts_stays() {
    let machine = Machine::debian("slurm 24.11.5").with_mount("nfs4", "etc/slurm");
    machine.link();
    machine.activate();
    let said = machine.setup("remove");
    let rm = format!("run once: rm {}\n", machine.path(ACTIVATION).display());
    assert!(said.contains(&rm), "{said}");
    assert!(!said.contains("is removed"), "{said}");
    assert!(fs::symlink_metadata(machine.path(ACTIVATION)).is_ok());
    assert_eq!(machine.release_in(DEBIAN), None);
}

/// Show that what is this host's alone is linked into and removed from: a disk, an
/// overlay of an image, and a root on a network file system that has the package too.
#[test]
fn what_is_this_hosts_is_linked() {
    let own = "usr/lib/x86_64-linux-gnu";
    for (kind, at) in [("xfs", own), ("overlay", own), ("fuse.fuse-overlayfs", own), ("nfs4", "")] {
        let machine = Machine::debian("slurm 24.11.5").with_mount(kind, at);
        machine.link();
        assert_eq!(machine.release_in(DEBIAN).as_deref(), Some("24.11"), "{kind}");
        machine.setup("remove");
        assert_eq!(machine.release_in(DEBIAN), None, "{kind}");
    }
}

/// Show that a plugin that somebody has put there is neither replaced nor removed.
#[test]
fn a_plugin_of_the_admins_is_left_alone() {
    let machine = Machine::debian("slurm 24.11.5");
    let file = format!("{DEBIAN}/spank_linger.so");
    machine.put(&file, "built by hand");
    let said = machine.link();
    assert!(said.contains("is left alone"), "{said}");
    machine.setup("remove");
    assert_eq!(fs::read_to_string(machine.path(&file)).unwrap(), "built by hand");
    fs::remove_file(machine.path(&file)).unwrap();
    machine.link();
    fs::remove_file(machine.path(&file)).unwrap();
    machine.put(&file, "built again");
    machine.setup("remove");
    assert_eq!(fs::read_to_string(machine.path(&file)).unwrap(), "built again");
}

/// Show that removal takes the links, an activation that is a link to the package,
/// and an empty state; and that it names a line that stays.
#[test]
fn removal_leaves_nothing() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.link();
    machine.activate();
    for state in ["run/spank-linger", "var/lib/spank-linger"] {
        fs::create_dir_all(machine.path(state)).unwrap();
    }
    let said = machine.setup("remove");
    assert!(said.contains("plugstack.conf.d/linger.conf is removed: restart slurmd"), "{said}");
    assert!(!said.contains("still"), "{said}");
    for gone in
        [ACTIVATION, "run/spank-linger", "var/lib/spank-linger", "var/lib/slurm-spank-linger"]
    {
        assert!(fs::symlink_metadata(machine.path(gone)).is_err(), "{gone}");
    }
    assert!(fs::symlink_metadata(machine.path(DEBIAN).join("spank_linger.so")).is_err());
}

/// Show that a line of the admin's stays and is named: it may stop slurmd.
#[test]
fn a_line_of_the_admins_is_named() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.put("etc/slurm/plugstack.conf", "# x\n required  spank_linger.so on_error=drain\n");
    machine.link();
    let said = machine.setup("remove");
    assert!(said.contains("plugstack.conf still names spank_linger.so"), "{said}");
    machine.put("etc/slurm/plugstack.conf", "# optional spank_linger.so\n");
    assert_eq!(machine.setup("remove"), "");
}

/// Show that sessions that are open are named with what ends them, also those of
/// `session=manager` and `session=job`, of which /run alone knows, and that what they were opened from
/// is kept.
#[test]
fn open_sessions_are_named_and_their_records_kept() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.link();
    for (file, record) in [
        ("var/lib/spank-linger/1001", r#"{"version":1,"name":"a","linger_before":false}"#),
        ("run/spank-linger/1001/undo", r#"{"version":1,"name":"a","linger_before":false}"#),
        ("run/spank-linger/1001/slice", "{}"),
        ("run/spank-linger/1001/7", "{}"),
        (
            "run/spank-linger/1002/undo",
            r#"{"version":1,"name":"b","linger_before":false,"means":"manager"}"#,
        ),
        (
            "run/spank-linger/1003/undo",
            r#"{"version":1,"name":"c","linger_before":true,"means":"manager"}"#,
        ),
        ("run/spank-linger/1004.own/logged-in", ""),
    ] {
        machine.put(file, record);
    }
    let said = machine.setup("remove");
    let books = said.lines().find(|line| line.contains("uid 1004: ")).expect(&said);
    let books = books.split("when they have ended: ").nth(1);
    let cure = "umount --lazy /run/spank-linger/1004.own; \
        rm -rf /run/spank-linger/1004 /run/spank-linger/1004.own /var/lib/spank-linger/1004";
    assert_eq!(books, Some(cure), "{said}");
    for (uid, cure) in [
        (1001, "loginctl disable-linger 1001; systemctl revert user-1001.slice;"),
        (1002, "systemctl stop user@1002.service;"),
        (1003, ""),
    ] {
        let said = said.lines().find(|line| line.contains(&format!("uid {uid}: "))).expect(&said);
        assert!(
            said.contains("jobs still have a session here, and nothing will close it"),
            "{said}"
        );
        let removed = format!("rm -rf /run/spank-linger/{uid} /var/lib/spank-linger/{uid}");
        let cure = [cure, &removed].join(" ");
        assert!(said.ends_with(&format!("when they have ended: {}", cure.trim_start())), "{said}");
    }
    for kept in ["var/lib/spank-linger/1001", "run/spank-linger/1002/undo"] {
        assert!(machine.path(kept).exists(), "{kept}");
    }
}

/// Show that jobs without a session have nothing that is to be undone.
#[test]
fn a_lease_without_a_session_is_no_reason_to_stay() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.link();
    machine.put("run/spank-linger/1001/7", r#"{"version":1,"state":"declined"}"#);
    machine.put("var/lib/spank-linger/.1001.new", "");
    assert_eq!(machine.setup("remove"), "");
    for gone in ["run/spank-linger", "var/lib/spank-linger"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
}
