//! Where images, the ssh key and the probe's answer are kept between runs.
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{interrupt, process};

const OVERRIDE: &str = "LINGER_NODE_CACHE";
const LOCK_POLL: Duration = Duration::from_millis(200);
const KEYGEN: Duration = Duration::from_secs(20);

/// The cache directory.
#[derive(Clone)]
pub(crate) struct Cache {
    directory: PathBuf,
}

/// A lock in the cache, released when dropped.
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// For a child to hold too: the lock ends with the last of us.
    pub(crate) fn share(&self) -> Result<Stdio> {
        Ok(Stdio::from(self.file.try_clone()?))
    }
}

impl Cache {
    /// `$LINGER_NODE_CACHE`, or a directory in the user's cache directory.
    pub(crate) fn open() -> Result<Self> {
        let directory =
            match (env::var_os(OVERRIDE), env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
                (Some(own), _, _) => PathBuf::from(own),
                (None, Some(caches), _) => Path::new(&caches).join("spank-linger-nodes"),
                (None, None, Some(home)) => Path::new(&home).join(".cache/spank-linger-nodes"),
                (None, None, None) => anyhow::bail!("no place for images: set HOME or {OVERRIDE}"),
            };
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let directory = fs::canonicalize(directory)?;
        Ok(Self { directory })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Wait for the lock of that name: nobody else builds the same thing meanwhile.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            interrupt::check()?;
            std::thread::sleep(LOCK_POLL);
        }
    }

    /// The lock of that name, if nobody has it.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        let path = self.path(&format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
        Ok(file.try_lock().is_ok().then_some(Lock { file }))
    }

    /// The private key for the nodes, made at first use.
    pub(crate) fn ssh_key(&self) -> Result<PathBuf> {
        let key = self.path("ssh_key");
        let _lock = self.lock("ssh_key")?;
        // The public half is written last: without it ssh-keygen was interrupted.
        if !self.path("ssh_key.pub").exists() {
            let _ = fs::remove_file(&key);
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "spank-linger", "-f"]).arg(&key);
            process::read(&mut keygen, KEYGEN)?;
        }
        Ok(key)
    }

    /// The public half of the key.
    pub(crate) fn ssh_public_key(&self) -> Result<String> {
        let path = self.ssh_key()?.with_extension("pub");
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }
}
