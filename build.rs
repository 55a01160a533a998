//! Which Slurm release this build is for, and how the plugin file is linked.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Debian and Slurm's own `make install` put the headers here.
const HEADERS: [&str; 2] = ["/usr/include/slurm/slurm_version.h", "/usr/include/slurm/slurm.h"];

const NO_RELEASE: &str = "for which Slurm release is this build? Set SLURM_VERSION to the \
    major.minor that 'slurmd -V' prints on the nodes, for example: \
    SLURM_VERSION=24.11 cargo build --release";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SLURM_VERSION");
    // slurmstepd and srun dlclose their plugins at exit; whatever a library
    // registered to run then must still be mapped.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    if let Err(problem) = take_the_unwinder_in() {
        println!("cargo::error=link the unwinder into the plugin: {problem}");
    }
    match release() {
        Ok((major, minor)) => {
            println!("cargo::rustc-env=SLURM_MAJOR={major}");
            println!("cargo::rustc-env=SLURM_MINOR={minor}");
        }
        Err(problem) => println!("cargo::error={problem}"),
    }
}

/// The standard library asks for the shared libgcc_s, which slurmstepd and srun do not need (ldd,
/// Debian 13): to find and load it takes them longer than all the rest of the plugin. What the linker
/// finds under that name is the unwinder as an archive, with what it needs itself on aarch64: both come
/// with gcc. Zig has its own in the plugin.
fn take_the_unwinder_in() -> Result<(), String> {
    let directory = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    let script = Path::new(&directory).join("libgcc_s.so");
    fs::write(&script, "INPUT(-lgcc_eh -lgcc)\n").map_err(|error| error.to_string())?;
    println!("cargo::rustc-link-arg-cdylib=-L{directory}");
    Ok(())
}

/// SLURM_VERSION, else the installed headers, else `slurmd -V`.
fn release() -> Result<(u8, u8), String> {
    if let Ok(asked) = env::var("SLURM_VERSION") {
        return parse(&asked)
            .ok_or_else(|| format!("SLURM_VERSION={asked}: not a Slurm release; {NO_RELEASE}"));
    }
    from_headers().or_else(from_slurmd).ok_or_else(|| NO_RELEASE.to_owned())
}

/// `24.11` or `24.11.5`, or with a distribution's suffix.
fn parse(version: &str) -> Option<(u8, u8)> {
    let mut parts = version.trim().split(['.', '-']);
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (20..100).contains(&major).then_some((major, minor))
}

/// `#define SLURM_VERSION_NUMBER 0x180b05`: two hexadecimal digits for each part.
fn from_headers() -> Option<(u8, u8)> {
    HEADERS.iter().find_map(|header| {
        println!("cargo::rerun-if-changed={header}");
        let text = fs::read_to_string(header).ok()?;
        let define = text.lines().find(|line| line.starts_with("#define SLURM_VERSION_NUMBER"))?;
        let number = u32::from_str_radix(define.split("0x").nth(1)?.trim(), 16).ok()?;
        let [_, major, minor, _micro] = number.to_be_bytes();
        Some((major, minor))
    })
}

fn from_slurmd() -> Option<(u8, u8)> {
    let printed = Command::new("slurmd").arg("-V").output().ok()?.stdout;
    parse(String::from_utf8(printed).ok()?.trim().strip_prefix("slurm")?.trim_start_matches('-'))
}
