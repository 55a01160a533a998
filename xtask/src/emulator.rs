//! A node that is a machine of QEMU's.
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::plan::{self, Plan};
use crate::{interrupt, process, qemu};

const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Without the devices that a node has no use for and would look for at boot.
const MACHINE: &str = "q35,sata=off,i8042=off,vmport=off,smbus=off";

/// Start node `number` of the plan, with ssh at that port of the host; none is given if it stays.
pub(crate) fn start(plan: &Plan<'_>, node: &str, number: u8, port: u16) -> Result<Option<Child>> {
    let mut command = command(plan, node, number, port);
    let path = plan.file(node, "qemu.log");
    let log = File::create(&path).context("write QEMU's log")?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let started = if plan.stay { daemon(&mut command) } else { child(&mut command, plan, node) };
    started.with_context(|| plan::tail(&path))
}

/// QEMU forks when its sockets are there.
fn daemon(command: &mut Command) -> Result<Option<Child>> {
    process::run(command.arg("-daemonize"), START)?;
    Ok(None)
}

fn child(command: &mut Command, plan: &Plan<'_>, node: &str) -> Result<Option<Child>> {
    let mut child = process::spawn(command)?;
    if let Err(error) = settled(&mut child, plan, node) {
        process::end(&mut child);
        return Err(error);
    }
    Ok(Some(child))
}

fn settled(child: &mut Child, plan: &Plan<'_>, node: &str) -> Result<()> {
    let deadline = Instant::now() + START;
    while !plan.file(node, "pid").exists() {
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
        if plan.stay { Command::new(qemu::PROGRAM) } else { plan::bound_to_us(qemu::PROGRAM) };
    let file = |kind: &str| plan.file(node, kind).display().to_string();
    command
        .args([
            "-name",
            &plan::mark(plan.name, node),
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

/// What of the kernel's an emulated CPU pays for and no test is about. Nobody attacks a node: no defence against
/// its CPU, and no memory cleared before it is written. Three jobs with Podman took 12 % less of the host's time
/// without.
const UNUSED: &str = "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off \
    nokaslr norandmaps psi=0 nowatchdog transparent_hugepage=never";

fn kernel_options(node: &str, number: u8, nodes: u8) -> String {
    let own = plan::own_options(node, number, nodes);
    format!("console=ttyS0 8250.nr_uarts=1 module_blacklist=kvm_amd,kvm_intel {UNUSED} {own}")
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
        let path = plan.directory.join("network").display().to_string();
        let netdev = format!("stream,id=nodes,server={server},addr.type=unix,addr.path={path}");
        arguments.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), card("nodes", 2)]);
    }
    arguments
}
