//! A node's disk, kernel and initrd, built once for each recipe.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Uid;

use crate::cache::{Cache, Lock};
use crate::progress::Step;
use crate::recipe::{IMAGE_SIZE, MKE2FS_OPTIONS, Recipe};
use crate::sources::Archive;
use crate::suite::Suite;
use crate::{interrupt, process, tools};

const BUILD: Duration = Duration::from_secs(20 * 60);
const UNPACK: Duration = Duration::from_secs(5 * 60);
const LOG_LINES: usize = 15;

/// An image in the cache, held against removal while this lives.
pub(crate) struct Image {
    directory: PathBuf,
    _lock: Lock,
}

impl Image {
    /// The image of the suite's recipe, built if the cache does not have it.
    pub(crate) fn ensure(cache: &Cache, suite: Suite) -> Result<Self> {
        let recipe = Recipe { suite, authorized_key: cache.ssh_public_key()? };
        let lock = cache.lock(suite.name())?;
        let directory = cache.path(&recipe.image_name());
        if !directory.exists() {
            let step = Step::start(format!("building node {}", suite.name()));
            build(cache, &recipe, &directory, &lock)?;
            step.done();
        }
        Ok(Self { directory, _lock: lock })
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("root.ext4")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.directory.join("kernel")
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    /// The root in which user-mode Linux is started.
    pub(crate) fn uml(&self) -> PathBuf {
        self.directory.join("uml")
    }
}

/// Into a directory of another name, renamed when all is there.
fn build(cache: &Cache, recipe: &Recipe, directory: &Path, lock: &Lock) -> Result<()> {
    remove_others(cache, recipe)?;
    let partial = directory.with_extension("partial");
    stage(&partial.join("node"), recipe)?;
    let log = cache.path(&format!("{}.log", recipe.suite.name()));
    let outcome = bootstrap(recipe, &partial, &log, lock)
        .with_context(|| tail_of_log(&log))
        .and_then(|()| unpack(&partial));
    if let Err(error) = outcome {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    fs::rename(&partial, directory).with_context(|| format!("make {}", directory.display()))
}

/// Images of the suite's former recipes, and what a killed build left.
fn remove_others(cache: &Cache, recipe: &Recipe) -> Result<()> {
    let prefix = format!("{}-", recipe.suite.name());
    for entry in fs::read_dir(cache.directory())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn stage(directory: &Path, recipe: &Recipe) -> Result<()> {
    let key = ("authorized_keys", recipe.authorized_key.as_str().into());
    for (name, text) in recipe.files().chain([key]) {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        }
        fs::write(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// mmdebstrap cleans up when it is told to end, so it is when we are killed. It takes the lock as
/// its input, and so holds it until it has cleaned up.
fn bootstrap(recipe: &Recipe, partial: &Path, log: &Path, lock: &Lock) -> Result<()> {
    let archive = Archive::of_host(&tools::codename()?)?;
    let log = File::create(log).with_context(|| format!("write {}", log.display()))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]);
    choose_mode(&mut command, partial);
    command
        .arg("--format=null")
        .args(recipe.options())
        .args(hooks(partial))
        .args([recipe.suite.name(), "/dev/null", &archive.uri])
        .env("MKE2FS_OPTIONS", MKE2FS_OPTIONS)
        .env("IMAGE_SIZE", IMAGE_SIZE)
        .stdin(lock.share()?)
        .stdout(log.try_clone()?)
        .stderr(log);
    process::run(&mut command, BUILD)
}

/// As root mmdebstrap mounts in the host's namespace and builds in /tmp: should it be killed, a
/// namespace of its own ends the mounts, and the next build removes the tree.
fn choose_mode(command: &mut Command, partial: &Path) {
    if Uid::effective().is_root() {
        command.args(["unshare", "--mount", "mmdebstrap", "--mode=root"]).env("TMPDIR", partial);
    } else {
        command.args(["mmdebstrap", "--mode=unshare"]);
    }
}

/// The namespaces of the hooks take their mounts with them.
fn hooks(partial: &Path) -> [String; 4] {
    let node = partial.join("node");
    let tar = partial.join("image.tar");
    [
        format!("--customize-hook=copy-in '{}' /", node.display()),
        "--customize-hook=unshare --mount sh \"$1/node/enter.sh\" \"$1\"".to_owned(),
        "--customize-hook=unshare --mount sh \"$1/node/pack.sh\" \"$1\"".to_owned(),
        format!("--customize-hook=download /out/image.tar '{}'", tar.display()),
    ]
}

/// tar knows holes, mmdebstrap's `download` does not.
fn unpack(partial: &Path) -> Result<()> {
    let tar = partial.join("image.tar");
    let mut command = Command::new("tar");
    command.arg("-C").arg(partial).arg("--no-same-owner").arg("-xSf").arg(&tar);
    process::read(&mut command, UNPACK)?;
    fs::remove_file(&tar)?;
    fs::remove_dir_all(partial.join("node")).context("remove the staged files")
}

fn tail_of_log(log: &Path) -> String {
    if interrupt::check().is_err() {
        return "building the node".to_owned();
    }
    format!("building the node failed; the end of {}:\n{}\n", log.display(), tail(log, LOG_LINES))
}

/// The last lines of a file; nothing if there is none.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
