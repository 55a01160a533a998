//! The command `spank-linger`: what there is of Slurm jobs' user sessions on this
//! node, what is wrong with the way there, and a sweep of what was left.
#![forbid(unsafe_code)]

mod boot;
mod doctor;
mod keep;
mod node;
mod options;
#[cfg(test)]
mod pages;
mod paint;
mod plugstack;
mod slurm_conf;
mod status;
mod sweep;
mod table;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use doctor::Form;
use node::Node;
use options::{Command, Options};
use paint::Paint;

/// The answer of each command: its exit code, or what it could not do at all.
type Outcome = Result<ExitCode, String>;

fn main() -> ExitCode {
    let node = Node::this();
    let done = match Options::parse().command {
        Command::Status { json } => status::run(&node, json, Paint::of_stdout()),
        Command::Doctor { user, json, quiet } => {
            let form = match (json, quiet) {
                (true, _) => Form::Json,
                (false, true) => Form::Faults(Paint::of_stdout()),
                (false, false) => Form::Lines(Paint::of_stdout()),
            };
            doctor::run(&node, user.as_deref(), form)
        }
        Command::Sweep { kept: Some(uid), .. } => keep::end(&node, uid),
        Command::Sweep { kept_at_shutdown: Some(uid), .. } => keep::end_at_shutdown(&node, uid),
        Command::Sweep { at_boot: true, .. } => boot::run(&node),
        Command::Sweep { dry_run, .. } => sweep::run(&node, dry_run),
        Command::Completions { shell } => {
            print!("{}", options::complete(shell));
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("spank-linger: {error}");
        ExitCode::FAILURE
    })
}
