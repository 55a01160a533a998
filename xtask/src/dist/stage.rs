//! The files of the packages, laid out as they will be on a machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::plugins::{self, RELEASES};
use super::{NAME, PACK, write};
use crate::build::{self, RELEASE};
use crate::process;

const PLUGIN: &str = "spank_linger.so";
/// The command, for cargo and as a file.
pub(crate) const COMMAND: &str = "spank-linger";

/// A file of the checkout, the directory it is installed in, and its mode.
const FILES: [(&str, &str, u32); 9] = [
    ("packaging/setup", "usr/lib/slurm-spank-linger", 0o755),
    ("plugstack.conf.d/linger.conf", "usr/share/slurm-spank-linger", 0o644),
    (BUS, "usr/lib/systemd/user/dbus.service.d", 0o644),
    ("README.md", "usr/share/doc/slurm-spank-linger", 0o644),
    ("CHANGELOG.md", "usr/share/doc/slurm-spank-linger", 0o644),
    ("SECURITY.md", "usr/share/doc/slurm-spank-linger", 0o644),
    ("LICENSE-MIT", "usr/share/doc/slurm-spank-linger", 0o644),
    ("LICENSE-APACHE", "usr/share/doc/slurm-spank-linger", 0o644),
    ("packaging/deb/copyright", "usr/share/doc/slurm-spank-linger", 0o644),
];

/// What spares the buses of users' managers where memory runs out.
pub(crate) const BUS: &str = "packaging/systemd/dbus.service.d/spank-linger.conf";

/// Where the files of `docs` go, by how their names end.
const DOCUMENTS: [(&str, &str); 2] =
    [("md", "usr/share/doc/slurm-spank-linger/docs"), ("8", "usr/share/man/man8")];

/// The shells whose completions are made by the command, and where each looks for them: Debian's
/// zsh elsewhere than others.
const COMPLETIONS: [(&str, &str); 4] = [
    ("bash", "usr/share/bash-completion/completions/spank-linger"),
    ("fish", "usr/share/fish/vendor_completions.d/spank-linger.fish"),
    ("zsh", "usr/share/zsh/site-functions/_spank-linger"),
    ("zsh", "usr/share/zsh/vendor-completions/_spank-linger"),
];

/// What puts linger back after a power loss, and where systemd finds units.
const UNIT: &str = "packaging/systemd/spank-linger-boot.service";
const UNITS: &str = "usr/lib/systemd/system";
/// What starts it, wherever it is installed: that it is enabled needs no script, which a package of rpm
/// would have to run under each release's own rules.
pub(crate) const STARTED_BY: &str = "systemd-logind.service.wants";

/// A directory with all files of a package, and nothing else.
pub(crate) struct Stage {
    pub(crate) root: PathBuf,
}

impl Stage {
    /// Puts all there: the checkout's files, and what was built in `built`.
    ///
    /// # Errors
    /// A file is missing, or the plugin is not as it should be.
    pub(crate) fn fill(root: &Path, built: &Path) -> Result<Self> {
        let stage = Self { root: root.to_path_buf() };
        for (file, directory, mode) in FILES {
            stage.put_checked_out(&build::checkout().join(file), directory, mode)?;
        }
        stage.put_documents()?;
        stage.put_plugins(&built.join("libspank_linger.so"))?;
        if has_command() {
            stage.put_command(&built.join(COMMAND))?;
            stage.put_unit(&build::checkout().join(UNIT))?;
        }
        // Whatever the umask is.
        stage.find("-type d -exec chmod 755 {} +")?;
        Ok(stage)
    }

    fn put_checked_out(&self, file: &Path, directory: &str, mode: u32) -> Result<()> {
        let name = file.file_name().context("a file has a name")?;
        self.put(&Path::new(directory).join(name), &read(file)?, mode)
    }

    fn put_documents(&self) -> Result<()> {
        for document in fs::read_dir(build::checkout().join("docs"))? {
            let file = document?.path();
            let ends = |(ending, _): &&(&str, &str)| file.extension() == Some(ending.as_ref());
            if let Some((_, directory)) = DOCUMENTS.iter().find(ends) {
                self.put_checked_out(&file, directory, 0o644)?;
            }
        }
        Ok(())
    }

    fn put_plugins(&self, built: &Path) -> Result<()> {
        let one = read(built)?;
        RELEASES.iter().try_for_each(|release| {
            let path = plugin(Path::new(""), release);
            self.put(&path, &plugins::for_release(&one, RELEASE, release)?, 0o644)
        })
    }

    fn put_command(&self, built: &Path) -> Result<()> {
        self.put(&command(Path::new("")), &read(built)?, 0o755)?;
        COMPLETIONS.iter().try_for_each(|(shell, path)| {
            let script = process::read(Command::new(built).args(["completions", shell]), PACK)?;
            self.put(Path::new(path), script.as_bytes(), 0o644)
        })
    }

    fn put_unit(&self, file: &Path) -> Result<()> {
        self.put_checked_out(file, UNITS, 0o644)?;
        let name = file.file_name().context("a unit has a name")?;
        let directory = self.root.join(UNITS).join(STARTED_BY);
        fs::create_dir_all(&directory)?;
        Ok(symlink(Path::new("..").join(name), directory.join(name))?)
    }

    fn put(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let path = self.root.join(path);
        write(&path, content)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    /// What `find` prints about the files, sorted; paths begin with `./`.
    pub(crate) fn find(&self, expression: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        let script = format!("LC_ALL=C; export LC_ALL; find . {expression} | sort");
        process::read(shell.args(["-c", &script]).current_dir(&self.root), PACK)
    }
}

/// Where the plugin for a release is below `root`.
pub(crate) fn plugin(root: &Path, release: &str) -> PathBuf {
    root.join("usr/lib").join(NAME).join(release).join(PLUGIN)
}

/// Where the command is below `root`.
pub(crate) fn command(root: &Path) -> PathBuf {
    root.join("usr/bin").join(COMMAND)
}

/// Whether this checkout has the command.
pub(crate) fn has_command() -> bool {
    build::checkout().join("cli").exists()
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("read {}", file.display()))
}
