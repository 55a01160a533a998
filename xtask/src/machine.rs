//! One node: a process that is a machine, and its console.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::accel::Accel;
use crate::plan::{self, Plan};
use crate::ssh::{self, Way};
use crate::{emulator, uml};

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A machine that runs.
pub(crate) struct Machine {
    pub(crate) node: String,
    pid: i32,
    child: Option<Child>,
    console: PathBuf,
}

impl Machine {
    /// Start node `number` of the plan, and give the way to its sshd.
    pub(crate) fn start(plan: &Plan<'_>, number: u8) -> Result<(Self, Way)> {
        let node = format!("n{number}");
        let (child, port) = if plan.accel == Accel::Uml {
            (Some(uml::start(plan, &node, number)?), None)
        } else {
            let port = ssh::free_port()?;
            (emulator::start(plan, &node, number, port)?, Some(port))
        };
        let mut machine = Self::begun(plan, &node)?;
        machine.child = child.filter(|_| !plan.stay);
        let way = port.map_or(Way::Namespace(machine.pid), Way::Port);
        Ok((machine, way))
    }

    /// A process that has just been started is known a moment later: its arguments are there when its
    /// program is.
    fn begun(plan: &Plan<'_>, node: &str) -> Result<Self> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(machine) = Self::of(plan.directory, plan.name, node) {
                return Ok(machine);
            }
            let late = Instant::now() >= deadline;
            ensure!(!late, "{node} does not start: {}", plan::tail(&plan.file(node, "console")));
            thread::sleep(POLL);
        }
    }

    /// The machine that an earlier run started, if it still runs.
    pub(crate) fn of(directory: &Path, cluster: &str, node: &str) -> Option<Self> {
        let pid =
            fs::read_to_string(plan::file(directory, node, "pid")).ok()?.trim().parse().ok()?;
        let is_ours = |arguments: Vec<u8>| {
            let mark = plan::mark(cluster, node);
            arguments.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
        };
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(is_ours).then(|| Self {
            node: node.to_owned(),
            pid,
            child: None,
            console: plan::file(directory, node, "console"),
        })
    }

    pub(crate) fn alive(&self) -> bool {
        // A child that ended stays a zombie until it is waited for; its cmdline is empty.
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|arguments| !arguments.is_empty())
    }

    /// Whether its kernel is no more, and said so.
    pub(crate) fn has_panicked(&self) -> bool {
        let console = std::fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&console).contains("Kernel panic - not syncing")
    }

    /// The end of what the guest wrote to its serial console.
    pub(crate) fn console_tail(&self) -> String {
        format!("console of {}:\n{}", self.node, plan::tail(&self.console))
    }

    /// Switch off: nothing is to be written, and a process that is the first of its namespace hears
    /// nothing else.
    pub(crate) fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        let deadline = Instant::now() + END;
        while self.alive() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}
