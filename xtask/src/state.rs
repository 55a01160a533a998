//! What is known of a running cluster, in a directory of its own.
use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

use crate::machine::Machine;
use crate::ssh::Way;
use crate::suite::Suite;

/// As many nodes as a cluster can have.
pub(crate) const MOST_NODES: u8 = 2;

/// The directory of one cluster, by its name.
pub(crate) struct State {
    directory: PathBuf,
}

impl State {
    /// The place of a cluster of that name, whether it exists or not.
    pub(crate) fn of(name: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure!(!name.is_empty() && name.chars().all(plain), "not a name for a cluster: {name:?}");
        Ok(Self { directory: base()?.join(name) })
    }

    /// Make the directory; those whose machines are gone are no obstacle.
    pub(crate) fn claim(&self, name: &str, suite: Suite, nodes: u8) -> Result<()> {
        let _lock = lock()?;
        remove_stale()?;
        ensure!(!self.directory.exists(), "{name} is up already, or about to be");
        make_private(&self.directory)?;
        self.write("starter", &identity(&std::process::id().to_string()))?;
        self.write("cluster", &format!("{} {nodes}\n", suite.name()))
    }

    /// Whether a cluster of that name runs, or is about to.
    pub(crate) fn is_up(name: &str) -> Result<bool> {
        let state = Self::of(name)?;
        let _lock = lock()?;
        Ok(state.directory.exists() && state.in_use(name))
    }

    /// End the machines of a cluster that stayed, and forget it.
    pub(crate) fn end(name: &str) -> Result<()> {
        let state = Self::of(name)?;
        let _lock = lock()?;
        ensure!(state.directory.exists(), "no node {name} is up");
        for mut machine in state.machines(name) {
            machine.end();
        }
        state.remove()
    }

    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("remove {}", self.directory.display()))
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.path(file), text)
            .with_context(|| format!("write {}", self.path(file).display()))
    }

    /// The machines of the cluster that run.
    pub(crate) fn machines(&self, name: &str) -> Vec<Machine> {
        (1..=MOST_NODES)
            .filter_map(|number| Machine::of(&self.directory, name, &format!("n{number}")))
            .collect()
    }

    fn in_use(&self, name: &str) -> bool {
        let starter = fs::read_to_string(self.path("starter")).unwrap_or_default();
        let pid = starter.split(' ').next().unwrap_or_default();
        let starting = !pid.is_empty() && identity(pid) == starter;
        starting || !self.machines(name).is_empty()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// What [`State::claim`] wrote; none for a start that was killed before.
    pub(crate) fn cluster(&self) -> Option<(Suite, u8)> {
        let text = fs::read_to_string(self.path("cluster")).ok()?;
        let (suite, nodes) = text.trim().split_once(' ')?;
        Some((Suite::named(suite)?, nodes.parse().ok()?))
    }

    /// How the nodes' sshd are reached, n1 first.
    pub(crate) fn ways(&self) -> Vec<Way> {
        let text = fs::read_to_string(self.path("ways")).unwrap_or_default();
        text.lines().filter_map(Way::parse).collect()
    }

    /// The sockets of ssh's shared connections.
    pub(crate) fn ssh_sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let is_socket = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh-"))
        };
        entries.map(|entry| entry.path()).filter(is_socket).collect()
    }
}

/// What a killed run left.
fn remove_stale() -> Result<()> {
    for entry in fs::read_dir(base()?)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Ok(state) = State::of(&name)
            && !state.in_use(&name)
        {
            state.remove()?;
        }
    }
    Ok(())
}

/// A process by its id and its start time, since ids come again.
fn identity(pid: &str) -> String {
    const START_TIME: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold blanks; the start time is the 20th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    format!("{pid} {}", fields.split_whitespace().nth(START_TIME).unwrap_or("gone"))
}

/// Held while it is decided whether a cluster is up.
fn lock() -> Result<File> {
    let path = base()?.join(".lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// `/tmp` is everyone's: a directory there is ours only if we own it and nobody else enters.
fn base() -> Result<PathBuf> {
    let uid = Uid::effective();
    let parent =
        env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let base = parent.join(format!("spank-linger-vm-{uid}"));
    if !base.exists() {
        make_private(&base)?;
    }
    let found =
        fs::symlink_metadata(&base).with_context(|| format!("look at {}", base.display()))?;
    let private = found.is_dir() && found.uid() == uid.as_raw() && found.mode() & 0o777 == 0o700;
    ensure!(private, "{} is not a directory of this user alone", base.display());
    Ok(base)
}

fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.with_context(|| format!("make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for name in ["", "..", "a/b", "a b"] {
            assert!(State::of(name).is_err(), "{name:?}");
        }
    }
}
