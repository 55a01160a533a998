//! What the packages' setup script does, on machines that are made up.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const RELEASES: [&str; 2] = ["24.11", "26.05"];
const DEBIAN: &str = "usr/lib/x86_64-linux-gnu/slurm-wlm";
const ACTIVATION: &str = "etc/slurm/plugstack.conf.d/linger.conf";

/// A machine with the package's files.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        for release in RELEASES {
            machine.put(&format!("usr/lib/slurm-spank-linger/{release}/spank_linger.so"), "");
        }
        machine.put("usr/share/slurm-spank-linger/linger.conf", "optional spank_linger.so\n");
        machine
    }

    /// With a Slurm that says this of itself, and has plugins there.
    fn with_slurm(self, program: &str, says: &str, plugins: &str) -> Self {
        self.put(program, &format!("#!/bin/sh\necho '{says}'\n"));
        fs::set_permissions(self.path(program), fs::Permissions::from_mode(0o755)).unwrap();
        self.put(&format!("{plugins}/auth_munge.so"), "");
        self
    }

    fn debian(says: &str) -> Self {
        Self::new().with_slurm("usr/sbin/slurmd", says, DEBIAN)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    /// Runs the script, which never fails, and gives what it says.
    fn setup(&self, what: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/setup");
        let mut setup = Command::new(script);
        let output = setup.arg(what).env("DPKG_ROOT", self.0.path()).env_remove("SLURM_CONF");
        let output = output.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn link(&self) -> String {
        self.setup("link")
    }

    /// The release that the link in this directory is for.
    fn release_in(&self, directory: &str) -> Option<String> {
        let target = fs::read_link(self.path(directory).join("spank_linger.so")).ok()?;
        let release = target.strip_prefix("/usr/lib/slurm-spank-linger").unwrap().parent()?;
        Some(release.to_str()?.to_owned())
    }

    fn activate(&self) {
        fs::create_dir_all(self.path(ACTIVATION).parent().unwrap()).unwrap();
        symlink("/usr/share/slurm-spank-linger/linger.conf", self.path(ACTIVATION)).unwrap();
    }
}

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

/// Show that sessions that are open are named, and that what they were opened from
/// is kept.
#[test]
fn open_sessions_are_named_and_their_records_kept() {
    let machine = Machine::debian("slurm 24.11.5");
    machine.link();
    machine.put("var/lib/spank-linger/1001", "{}");
    let said = machine.setup("remove");
    assert!(said.contains("jobs still have a session here"), "{said}");
    assert!(machine.path("var/lib/spank-linger/1001").exists());
}
