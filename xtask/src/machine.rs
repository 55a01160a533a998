//! One node: a process that is a machine, and its console.
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::accel::Accel;
use crate::cache::Cache;
use crate::image::{self, Image};
use crate::ssh::{self, Way};
use crate::state::State;
use crate::{interrupt, process, qemu, uml};

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// Without the devices that a node has no use for and would look for at boot.
const MACHINE: &str = "q35,sata=off,i8042=off,vmport=off,smbus=off";
const CONSOLE_LINES: usize = 25;

/// What all machines of one cluster have in common.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) cache: &'a Cache,
    pub(crate) state: &'a State,
    pub(crate) image: &'a Image,
    pub(crate) accel: Accel,
    pub(crate) nodes: u8,
    pub(crate) memory: u32,
    /// Whether the machines outlive this process.
    pub(crate) stay: bool,
    /// Whether others run beside them.
    pub(crate) beside: bool,
}

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
            (emulator(plan, &node, number, port)?, Some(port))
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
            if let Some(machine) = Self::of(plan.state, plan.name, node) {
                return Ok(machine);
            }
            let late = Instant::now() >= deadline;
            ensure!(!late, "{node} does not start: {}", log_tail(plan.state, node));
            thread::sleep(POLL);
        }
    }

    /// The machine that an earlier run started, if it still runs.
    pub(crate) fn of(state: &State, cluster: &str, node: &str) -> Option<Self> {
        let pid =
            fs::read_to_string(state.path(&format!("{node}.pid"))).ok()?.trim().parse().ok()?;
        let is_ours = |arguments: Vec<u8>| {
            let mark = mark(cluster, node);
            arguments.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
        };
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(is_ours).then(|| Self {
            node: node.to_owned(),
            pid,
            child: None,
            console: state.path(&format!("{node}.console")),
        })
    }

    pub(crate) fn alive(&self) -> bool {
        // A child that ended stays a zombie until it is waited for; its cmdline is empty.
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|arguments| !arguments.is_empty())
    }

    /// The end of what the guest wrote to its serial console.
    pub(crate) fn console_tail(&self) -> String {
        format!("console of {}:\n{}", self.node, image::tail(&self.console, CONSOLE_LINES))
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

/// How a node of ours is known among the host's processes.
pub(crate) fn mark(cluster: &str, node: &str) -> String {
    format!("spank-linger/{cluster}/{node}")
}

fn log_tail(state: &State, node: &str) -> String {
    ["qemu.log", "console"]
        .map(|kind| image::tail(&state.path(&format!("{node}.{kind}")), CONSOLE_LINES))
        .concat()
}

fn emulator(plan: &Plan<'_>, node: &str, number: u8, port: u16) -> Result<Option<Child>> {
    let mut command = command(plan, node, number, port);
    let log =
        File::create(plan.state.path(&format!("{node}.qemu.log"))).context("write QEMU's log")?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let started =
        if plan.stay { daemon(&mut command) } else { child(&mut command, plan.state, node) };
    started.with_context(|| log_tail(plan.state, node))
}

/// QEMU forks when its sockets are there.
fn daemon(command: &mut Command) -> Result<Option<Child>> {
    process::run(command.arg("-daemonize"), START)?;
    Ok(None)
}

fn child(command: &mut Command, state: &State, node: &str) -> Result<Option<Child>> {
    let mut child = process::spawn(command)?;
    if let Err(error) = settled(&mut child, state, node) {
        process::end(&mut child);
        return Err(error);
    }
    Ok(Some(child))
}

fn settled(child: &mut Child, state: &State, node: &str) -> Result<()> {
    let deadline = Instant::now() + START;
    let there = |file: &str| state.path(&format!("{node}.{file}")).exists();
    while !there("pid") {
        interrupt::check()?;
        if let Some(status) = child.try_wait()? {
            bail!("QEMU of {node}: {status}");
        }
        ensure!(Instant::now() < deadline, "QEMU of {node}: {}", process::late(START));
        thread::sleep(POLL);
    }
    Ok(())
}

fn command(plan: &Plan<'_>, node: &str, number: u8, port: u16) -> Command {
    let mut command =
        if plan.stay { Command::new(qemu::PROGRAM) } else { bound_to_us(qemu::PROGRAM) };
    let file = |kind: &str| plan.state.path(&format!("{node}.{kind}")).display().to_string();
    command
        .args([
            "-name",
            &mark(plan.name, node),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ])
        .args(plan.accel.arguments(plan.beside))
        .args(["-machine", MACHINE, "-smp", "2", "-m", &plan.memory.to_string()])
        .arg("-kernel")
        .arg(plan.image.kernel())
        .arg("-initrd")
        .arg(plan.image.initrd())
        .args(["-append", &kernel_options(node, number, plan.nodes)])
        .args(["-serial", &format!("file:{}", file("console")), "-pidfile", &file("pid")])
        .args(disk(plan))
        .args(network(plan, number, port));
    command
}

/// So that it ends with us, even when we are killed. The kernel watches the thread that starts
/// it: clusters are brought up from the main thread.
pub(crate) fn bound_to_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// What of the kernel's an emulated CPU pays for and no test is about. Nobody attacks a node: no defence against
/// its CPU, and no memory cleared before it is written. Three jobs with Podman took 12 % less of the host's time
/// without.
const UNUSED: &str = "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off \
    nokaslr norandmaps psi=0 nowatchdog transparent_hugepage=never";

fn kernel_options(node: &str, number: u8, nodes: u8) -> String {
    let own = own_options(node, number, nodes);
    format!("console=ttyS0 8250.nr_uarts=1 module_blacklist=kvm_amd,kvm_intel {UNUSED} {own}")
}

/// What tells one node from the other.
pub(crate) fn own_options(node: &str, number: u8, nodes: u8) -> String {
    format!("net.ifnames=0 systemd.hostname={node} linger.number={number} linger.nodes={nodes}")
}

/// The image itself is never written: QEMU keeps the guest's writes in a file without a name.
/// No write waits for the host's disk, which is not what a guest's reset loses.
fn disk(plan: &Plan<'_>) -> [String; 4] {
    // In QEMU's options a comma in a value is written twice.
    let path = plan.image.disk().display().to_string().replace(',', ",,");
    [
        "-drive".to_owned(),
        format!("file={path},format=raw,if=none,id=disk,snapshot=on,cache=unsafe"),
        "-device".to_owned(),
        "virtio-blk-pci,drive=disk".to_owned(),
    ]
}

/// The first card leads to the host, the second to the other node. No boot ROM: nothing boots from it.
fn network(plan: &Plan<'_>, number: u8, port: u16) -> Vec<String> {
    let card = |id: &str, kind: u8| {
        format!("virtio-net-pci,netdev={id},romfile=,mac=52:54:00:4c:{kind:02x}:{number:02x}")
    };
    let mut arguments = vec![
        "-netdev".to_owned(),
        format!("user,id=host,hostfwd=tcp:127.0.0.1:{port}-:22"),
        "-device".to_owned(),
        card("host", 1),
    ];
    if plan.nodes > 1 {
        let server = if number == 1 { "on" } else { "off" };
        let path = plan.state.path("network").display().to_string();
        let netdev = format!("stream,id=nodes,server={server},addr.type=unix,addr.path={path}");
        arguments.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), card("nodes", 2)]);
    }
    arguments
}
