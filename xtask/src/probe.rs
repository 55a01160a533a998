//! KVM where it runs a guest; elsewhere a Linux that is a process, where that will do, or QEMU's own emulation.
use std::env;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::accel::Accel;
use crate::cache::Cache;
use crate::image::Image;
use crate::progress::Step;
use crate::{interrupt, plan, process, qemu, uml};

const OVERRIDE: &str = "LINGER_ACCEL";
/// What the initrd says when it is started to see whether it starts.
const SAID: &str = "linger: this accelerator runs a guest";
const WORKS: &str = "works";
/// What works needs one second.
const PROBE: Duration = Duration::from_secs(20);

/// The one to use with this QEMU on this host; for a light node also none of QEMU's.
pub(crate) fn choose(cache: &Cache, image: &Image, version: &str, light: bool) -> Result<Accel> {
    let may_be = |accel: Accel| light || accel != Accel::Uml;
    let forced = env::var(OVERRIDE).ok();
    let named = |name: &String| Accel::named(name).with_context(|| bad_name(name));
    match forced.as_ref().map(named).transpose()? {
        Some(accel) if may_be(accel) => return Ok(accel),
        Some(_) => return Ok(Accel::Tcg),
        None => {}
    }
    let has_kvm = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    if has_kvm && works(Accel::Kvm, cache, image, version)? {
        return Ok(Accel::Kvm);
    }
    Ok(if light && works(Accel::Uml, cache, image, version)? { Accel::Uml } else { Accel::Tcg })
}

fn bad_name(name: &str) -> String {
    format!("{OVERRIDE} is kvm, tcg or uml, not {name:?}")
}

/// A `/dev/kvm` that opens may still not run a guest, and a container may keep a process from being a
/// Linux. The answer holds for this boot of the host and this QEMU.
fn works(accel: Accel, cache: &Cache, image: &Image, version: &str) -> Result<bool> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let answer = cache.path(&format!("{}-{version}", accel.name()));
    let known = fs::read_to_string(&answer).unwrap_or_default();
    if let Some(said) = known.strip_prefix(boot.trim()) {
        return Ok(said.trim() == WORKS);
    }
    let step = Step::start(format!("probing {} with a guest", accel.name()));
    let works = if accel == Accel::Uml { is_process(image) } else { boots(cache, image) };
    interrupt::check()?;
    fs::write(&answer, format!("{} {}\n", boot.trim(), if works { WORKS } else { "fails" }))?;
    step.done();
    Ok(works)
}

fn is_process(image: &Image) -> bool {
    uml::probe(image, PROBE).is_ok_and(|said| said.contains(SAID))
}

/// The node's own kernel, whose initrd speaks one line and restarts, which ends QEMU.
fn boots(cache: &Cache, image: &Image) -> bool {
    let console = cache.path(&format!("probe-{}.console", std::process::id()));
    let mut command = plan::bound_to_us(qemu::PROGRAM);
    command
        .args(["-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-m", "256", "-machine", "q35"])
        .args(Accel::Kvm.arguments(false))
        .arg("-kernel")
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.initrd())
        .args(["-append", "console=ttyS0 panic=-1 linger.probe=1"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // However it fails: the answer is what the guest said.
    let _ = process::run(&mut command, PROBE);
    let said = fs::read(&console).unwrap_or_default();
    let _ = fs::remove_file(&console);
    String::from_utf8_lossy(&said).contains(SAID)
}
