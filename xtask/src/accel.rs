//! KVM where it runs a guest, QEMU's own emulation elsewhere.
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::image::Image;
use crate::progress::Step;
use crate::{process, qemu};

const OVERRIDE: &str = "LINGER_ACCEL";
/// What the initrd says when it is started to see whether it starts.
const SAID: &str = "linger: this accelerator runs a guest";
/// A KVM that works needs one second.
const PROBE: Duration = Duration::from_secs(20);

/// All that QEMU knows, without what is dear to emulate: string moves byte by byte, which the kernel
/// takes for fast (erms, fsrm), a fifth level of page tables, bits that each access is checked for
/// (smap, smep, pku), and wide registers. None was measured by itself. Together with `mitigations=off`,
/// against a loop in the same guest, a fork took 5 % less of the host's time, opening and closing a
/// session 11 %, `srun true` 29 %.
const EMULATED: &str = "max,erms=off,fsrm=off,la57=off,smap=off,smep=off,pku=off,xsave=off,avx=off,\
    avx2=off,f16c=off,fma=off";

/// How the guest's CPU is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    Kvm,
    Tcg,
}

impl Accel {
    /// The one to use with this QEMU on this host.
    pub(crate) fn choose(cache: &Cache, image: &Image, version: &str) -> Result<Self> {
        match env::var(OVERRIDE).as_deref() {
            Ok("kvm") => return Ok(Self::Kvm),
            Ok("tcg") => return Ok(Self::Tcg),
            Ok(other) => bail!("{OVERRIDE} is kvm or tcg, not {other:?}"),
            Err(_) => {}
        }
        if fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Tcg);
        }
        probed(cache, image, version)
    }

    /// The arguments for QEMU. Two emulated nodes with a thread for each of their CPUs wait for
    /// one another: a CPU that flushes the TLB of one whose thread has no core spins. `squeue` in
    /// both took 2.4 times as long as in one on two cores, with one thread each 1.2 times.
    pub(crate) fn arguments(self, beside: bool) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg if beside => ["-accel", "tcg,thread=single", "-cpu", EMULATED],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", EMULATED],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// A `/dev/kvm` that opens may still not run a guest. The answer holds for this boot of the
/// host and this QEMU.
fn probed(cache: &Cache, image: &Image, version: &str) -> Result<Accel> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let answer = cache.path(&format!("accel-{version}"));
    let known = fs::read_to_string(&answer).unwrap_or_default();
    match known.strip_prefix(boot.trim()).map(str::trim) {
        Some("kvm") => return Ok(Accel::Kvm),
        Some("tcg") => return Ok(Accel::Tcg),
        _ => {}
    }
    let step = Step::start("probing KVM with a guest");
    let console = cache.path(&format!("probe-{}.console", std::process::id()));
    let accel = if boots(image, &console) { Accel::Kvm } else { Accel::Tcg };
    let _ = fs::remove_file(&console);
    crate::interrupt::check()?;
    fs::write(&answer, format!("{} {}\n", boot.trim(), accel.name()))?;
    step.done();
    Ok(accel)
}

/// The node's own kernel, whose initrd speaks one line and restarts, which ends QEMU.
fn boots(image: &Image, console: &Path) -> bool {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", qemu::PROGRAM, "-nodefaults", "-no-user-config"])
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
    fs::read(console).is_ok_and(|text| String::from_utf8_lossy(&text).contains(SAID))
}
