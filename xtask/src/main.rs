//! The command `cargo xtask`.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tooling.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The same Podman job without the plugin, with it, and with `session=job`, on a fresh node.
    Demo,
    /// Make and drive test nodes: virtual machines with Slurm, systemd and Podman.
    #[command(subcommand)]
    Vm(xtask::vm::Task),
    /// What the plugin costs, in time, messages, system calls and instructions.
    Bench(xtask::bench::Options),
    /// Make the packages: a .deb and an .rpm for every Slurm release.
    Dist,
    /// Run all tests: on this machine, and on nodes with Slurm, systemd and Podman.
    Test(xtask::test::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = xtask::interrupt::watch().and_then(|()| match arguments.task {
        Task::Demo => xtask::demo::run(),
        Task::Bench(options) => xtask::bench::run(&options),
        Task::Dist => xtask::dist::run(),
        Task::Vm(task) => xtask::vm::run(task),
        Task::Test(options) => xtask::test::run(&options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
