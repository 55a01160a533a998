//! A node that is a process: the release's own user-mode Linux, for a host that can only emulate a machine.
//!
//! Its programs run on the host's CPU as they are, three to six times as fast as emulated ones. What it has
//! not is a second CPU, and with it the cpuset controller.
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Uid;

use crate::cache::{Cache, Lock};
use crate::image::Image;
use crate::plan::{self, Plan};
use crate::process;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/host/uml-node.sh");
const COPY: Duration = Duration::from_secs(60);
/// Beside the kernel, in a node's root.
const DISK: &str = "root.ext4";
const PROBE_MEMORY: u32 = 256;

/// Start node `number` of the plan.
pub(crate) fn start(plan: &Plan<'_>, node: &str, number: u8) -> Result<Child> {
    let root = plan.file(node, "root");
    copy(&plan.image.uml(), &root)?;
    copy(&plan.image.disk(), &root.join(DISK))?;
    let core = Core::choose(plan.cache)?;
    let console = File::create(plan.file(node, "console"))?;
    let mut command = command(&plan::mark(plan.name, node), &root, core.number, plan.stay);
    command
        .args(hardware(plan.memory))
        .arg(format!("ubd0=/{DISK}"))
        .args(plan::own_options(node, number, plan.nodes).split(' '))
        .stdin(core.held()?)
        .stdout(console.try_clone()?)
        .stderr(console);
    let child = process::spawn(&mut command)?;
    fs::write(plan.file(node, "pid"), child.id().to_string())?;
    Ok(child)
}

/// What its initrd says when it is started to see whether it starts.
pub(crate) fn probe(image: &Image, timeout: Duration) -> Result<String> {
    let mut command = command("probe", &image.uml(), 0, false);
    command.args(hardware(PROBE_MEMORY)).arg("linger.probe=1");
    let output = process::capture(&mut command, timeout)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The image may be gone before a node that stays: what it starts from anew after a reboot is its own.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--sparse=always"]).args([from, to]);
    process::read(&mut copy, COPY).context("copy what a node is made of").map(drop)
}

/// In namespaces of its own: of processes, so that they end with the first; of the network, where nobody but
/// it is; of mounts, and without root of users.
fn command(mark: &str, root: &Path, core: usize, stays: bool) -> Command {
    let mut command = if stays { Command::new("unshare") } else { plan::bound_to_us("unshare") };
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--pid", "--fork", "--kill-child", "--mount", "--net", "sh", SCRIPT, mark])
        .arg(root)
        .arg(core.to_string());
    command
}

/// The console is what it writes itself. With `gro` its card takes what the host's end has joined.
fn hardware(memory: u32) -> [String; 9] {
    [
        format!("mem={memory}M"),
        "umid=node".to_owned(),
        "uml_dir=/tmp/".to_owned(),
        "initrd=/initrd".to_owned(),
        "con0=null,fd:1".to_owned(),
        "con=null".to_owned(),
        "ssl=null".to_owned(),
        "console=tty0".to_owned(),
        "vec0:transport=raw,ifname=node,depth=64,gro=1".to_owned(),
    ]
}

/// A core of the host's that a node keeps to, best one that no other node has.
struct Core {
    number: usize,
    lock: Option<Lock>,
}

impl Core {
    fn choose(cache: &Cache) -> Result<Self> {
        let cores = thread::available_parallelism()?.get();
        for number in 0..cores {
            if let Some(lock) = cache.try_lock(&format!("core-{number}"))? {
                return Ok(Self { number, lock: Some(lock) });
            }
        }
        Ok(Self { number: 0, lock: None })
    }

    /// For the node's input: the lock is held as long as the node lives.
    fn held(&self) -> Result<Stdio> {
        self.lock.as_ref().map_or_else(|| Ok(Stdio::null()), Lock::share)
    }
}
