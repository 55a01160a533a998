//! One node: a QEMU process, its console, its monitor.
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::accel::Accel;
use crate::image::{self, Image};
use crate::state::State;
use crate::{interrupt, process, qemu};

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
const MONITOR: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// Without the devices that a node has no use for and would look for at boot.
const MACHINE: &str = "q35,sata=off,i8042=off,vmport=off,smbus=off";
const CONSOLE_LINES: usize = 25;

/// What all machines of one cluster have in common.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
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
    monitor: PathBuf,
}

impl Machine {
    /// Start node `number` of the plan, with ssh at that port of the host.
    pub(crate) fn start(plan: &Plan<'_>, number: u8, port: u16) -> Result<Self> {
        let node = format!("n{number}");
        let mut command = command(plan, &node, number, port);
        let log_path = plan.state.path(&format!("{node}.qemu.log"));
        let log = File::create(&log_path).context("write QEMU's log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let started =
            if plan.stay { daemon(&mut command) } else { child(&mut command, plan.state, &node) };
        let child = started.with_context(|| image::tail(&log_path, CONSOLE_LINES))?;
        let mut machine = Self::of(plan.state, plan.name, &node).with_context(|| {
            format!("QEMU of {node} ended: {}", image::tail(&log_path, CONSOLE_LINES))
        })?;
        machine.child = child;
        Ok(machine)
    }

    /// The machine that an earlier run started, if it still runs.
    pub(crate) fn of(state: &State, cluster: &str, node: &str) -> Option<Self> {
        let pid =
            fs::read_to_string(state.path(&format!("{node}.pid"))).ok()?.trim().parse().ok()?;
        let is_ours = |arguments: Vec<u8>| {
            let mark = qemu_name(cluster, node);
            arguments.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
        };
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(is_ours).then(|| Self {
            node: node.to_owned(),
            pid,
            child: None,
            console: state.path(&format!("{node}.console")),
            monitor: state.path(&format!("{node}.monitor")),
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

    /// What a power cut and its return do.
    pub(crate) fn reset(&self) -> Result<()> {
        let mut monitor = UnixStream::connect(&self.monitor).context("reach QEMU's monitor")?;
        monitor.set_read_timeout(Some(MONITOR))?;
        until_prompt(&mut monitor)?;
        monitor.write_all(b"system_reset\n")?;
        until_prompt(&mut monitor)
    }

    /// Switch off.
    pub(crate) fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            return process::end(&mut child);
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let _ = kill(Pid::from_raw(self.pid), signal);
            let deadline = Instant::now() + END;
            while self.alive() && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
    }
}

/// How a QEMU of ours is known among the host's processes.
fn qemu_name(cluster: &str, node: &str) -> String {
    format!("spank-linger/{cluster}/{node}")
}

fn until_prompt(monitor: &mut UnixStream) -> Result<()> {
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while !said.ends_with(b"(qemu) ") {
        let length = monitor.read(&mut buffer).context("QEMU's monitor is silent")?;
        ensure!(length > 0, "QEMU's monitor hung up");
        said.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    Ok(())
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
    while !(there("pid") && there("monitor")) {
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
    let mut command = if plan.stay { Command::new(qemu::PROGRAM) } else { bound_to_us() };
    let file = |kind: &str| plan.state.path(&format!("{node}.{kind}")).display().to_string();
    command
        .args([
            "-name",
            &qemu_name(plan.name, node),
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
        .args(["-monitor", &format!("unix:{},server=on,wait=off", file("monitor"))])
        .args(disk(plan))
        .args(network(plan, number, port));
    command
}

/// So that it ends with us, even when we are killed. The kernel watches the thread that starts
/// it: clusters are brought up from the main thread.
fn bound_to_us() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", qemu::PROGRAM]);
    command
}

/// What of the kernel's an emulated CPU pays for and no test is about. Nobody attacks a node: no defence against
/// its CPU, and no memory cleared before it is written. Three jobs with Podman took 12 % less of the host's time
/// without.
const UNUSED: &str = "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off \
    nokaslr norandmaps psi=0 nowatchdog transparent_hugepage=never";

fn kernel_options(node: &str, number: u8, nodes: u8) -> String {
    format!(
        "console=ttyS0 8250.nr_uarts=1 module_blacklist=kvm_amd,kvm_intel {UNUSED} net.ifnames=0 \
         systemd.hostname={node} linger.number={number} linger.nodes={nodes}"
    )
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
