//! A made-up machine for the packages' setup script.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const RELEASES: [&str; 2] = ["24.11", "26.05"];
pub(crate) const DEBIAN: &str = "usr/lib/x86_64-linux-gnu/slurm-wlm";
pub(crate) const ACTIVATION: &str = "etc/slurm/plugstack.conf.d/linger.conf";

/// A machine with the package's files.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        machine.put_program("programs/findmnt", "false");
        for release in RELEASES {
            machine.put(&format!("usr/lib/slurm-spank-linger/{release}/spank_linger.so"), "");
        }
        machine.put("usr/share/slurm-spank-linger/linger.conf", "optional spank_linger.so\n");
        machine
    }

    /// With a Slurm that says this of itself, and has plugins there.
    pub(crate) fn with_slurm(self, program: &str, says: &str, plugins: &str) -> Self {
        self.put_program(program, &format!("echo '{says}'"));
        self.put(&format!("{plugins}/auth_munge.so"), "");
        self
    }

    /// With this kind of file system mounted there.
    pub(crate) fn with_mount(self, kind: &str, at: &str) -> Self {
        let at = self.path(at).display().to_string();
        // Of findmnt's options the last is the path that is asked for.
        let answer = format!(
            "for path; do :; done; case $path in {at}*) echo '{kind} {at}' ;; *) echo ext4 / ;; esac"
        );
        self.put_program("programs/findmnt", &answer);
        self
    }

    fn put_program(&self, path: &str, does: &str) {
        self.put(path, &format!("#!/bin/sh\n{does}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn debian(says: &str) -> Self {
        Self::new().with_slurm("usr/sbin/slurmd", says, DEBIAN)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    /// Runs the script, which never fails, and gives what it says.
    pub(crate) fn setup(&self, what: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/setup");
        let mut setup = Command::new(script);
        let programs = self.path("programs").display().to_string();
        setup.env("PATH", [&programs, ":", &std::env::var("PATH").unwrap()].concat());
        let output = setup.arg(what).env("DPKG_ROOT", self.0.path()).env_remove("SLURM_CONF");
        let output = output.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn link(&self) -> String {
        self.setup("link")
    }

    /// The release that the link in this directory is for.
    pub(crate) fn release_in(&self, directory: &str) -> Option<String> {
        let target = fs::read_link(self.path(directory).join("spank_linger.so")).ok()?;
        let release = target.strip_prefix("/usr/lib/slurm-spank-linger").unwrap().parent()?;
        Some(release.to_str()?.to_owned())
    }

    pub(crate) fn activate(&self) {
        fs::create_dir_all(self.path(ACTIVATION).parent().unwrap()).unwrap();
        symlink("/usr/share/slurm-spank-linger/linger.conf", self.path(ACTIVATION)).unwrap();
    }
}
