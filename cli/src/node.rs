//! The node as the command sees it, so that tests can make one up.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use user_session::Roots;

use crate::tools::{Real, Tools};

/// Files, programs and variables of the node.
pub(crate) struct Node {
    /// Where the session library's files are.
    pub(crate) roots: Roots,
    /// Programs to be asked.
    pub(crate) tools: Box<dyn Tools>,
    /// Whom our state has to belong to: root.
    pub(crate) owner: u32,
    /// Who asks.
    pub(crate) asker: u32,
    root: PathBuf,
    env: fn(&str) -> Option<String>,
}

impl Node {
    /// The one we are on.
    pub(crate) fn this() -> Self {
        Self {
            roots: Roots::default(),
            tools: Box::new(Real),
            owner: 0,
            asker: geteuid().as_raw(),
            root: "/".into(),
            env: |name| env::var(name).ok(),
        }
    }

    /// Who may read what is root's.
    pub(crate) fn asked_by_root(&self) -> bool {
        self.asker == self.owner
    }

    /// A variable of whoever asks.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Where the file with that absolute path is.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path of a file that was found with [`Node::at`].
    pub(crate) fn name_of(&self, found: &Path) -> PathBuf {
        Path::new("/").join(found.strip_prefix(&self.root).unwrap_or(found))
    }

    /// Its text. What is no text in it is no setting of anybody's.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        fs::read(self.at(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first of these that is there.
    pub(crate) fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.at(path).exists())
    }
}

/// A node that a test makes up.
#[cfg(test)]
pub(crate) mod made_up {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use tempfile::TempDir;

    use super::*;
    use crate::tools::Scripted;

    /// A directory that stands for its root, empty at first.
    pub(crate) struct MadeUp {
        _dir: TempDir,
        pub(crate) node: Node,
    }

    pub(crate) fn node() -> MadeUp {
        let dir = tempfile::tempdir().unwrap();
        let me = geteuid().as_raw();
        let node = Node {
            roots: Roots::below(dir.path()),
            tools: Box::new(Scripted::default()),
            owner: me,
            asker: me,
            root: dir.path().into(),
            env: |_| None,
        };
        MadeUp { _dir: dir, node }
    }

    impl MadeUp {
        /// With a file.
        pub(crate) fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
            self.put(path, content);
            self
        }

        pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
            let file = self.node.at(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }

        /// With a directory of that mode.
        pub(crate) fn with_dir(self, path: &str, mode: u32) -> Self {
            self.dir(path, mode);
            self
        }

        /// With a job whose extern step has ended: as no process of its namespace
        /// has that number.
        pub(crate) fn with_ended(self, lease: &str) -> Self {
            let pid = std::process::id().to_string();
            let namespace = format!("/proc/{pid}/ns/pid");
            self.put(&namespace, "");
            let inode = fs::metadata(self.node.at(namespace)).unwrap().ino();
            std::os::unix::fs::symlink(pid, self.node.at("/proc/self")).unwrap();
            self.put(&format!("{lease}.keepers"), format!("extern 77 1 {inode}\n"));
            self
        }

        /// Has a directory be closed to others, as ours are.
        pub(crate) fn private(&self, path: &str) {
            self.dir(path, 0o700);
        }

        fn dir(&self, path: &str, mode: u32) {
            let dir = self.node.at(path);
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        }

        /// With programs that print this, or complain.
        pub(crate) fn with_tools<const N: usize>(
            mut self,
            answers: [(&str, Result<&str, &str>); N],
        ) -> Self {
            let own = |(line, answer): (&str, Result<&str, &str>)| {
                (line.to_owned(), answer.map(str::to_owned).map_err(str::to_owned))
            };
            self.node.tools = Box::new(Scripted(answers.into_iter().map(own).collect()));
            self
        }

        /// Asked by somebody with these variables, who is not root.
        pub(crate) fn asked_with(mut self, env: fn(&str) -> Option<String>) -> Self {
            self.node.env = env;
            self.node.owner = self.node.asker + 1;
            self
        }
    }
}
