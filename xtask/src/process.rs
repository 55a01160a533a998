//! Child processes that never outlast their time.
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt;

const POLL: Duration = Duration::from_millis(20);
/// mmdebstrap removes its tree when told to end: a few hundred megabytes.
const CLEAN_UP: Duration = Duration::from_secs(20);
/// What a process may have left behind with its output open keeps us no longer than this.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Wait for the end of a child; one that is late, or a Ctrl-C, ends it.
///
/// # Errors
/// The child did not end in time, or a signal came.
pub fn finish(child: &mut Child, timeout: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let problem = match interrupt::check() {
            Err(interrupted) => Some(interrupted),
            Ok(()) if Instant::now() > deadline => Some(late(timeout)),
            Ok(()) => None,
        };
        if let Some(problem) = problem {
            end(child);
            return Err(problem);
        }
        thread::sleep(POLL);
    }
}

/// Run a command to its end and give what it wrote, whatever its exit status.
///
/// # Errors
/// The command cannot be started or did not end in time.
pub fn capture(command: &mut Command, timeout: Duration) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = finish(&mut child, timeout).with_context(|| describe(command))?;
    let text = |output: Receiver<Vec<u8>>| output.recv_timeout(LAST_OUTPUT).unwrap_or_default();
    Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Run a command that has to succeed and give its standard output.
///
/// # Errors
/// The command failed; the error holds what it wrote to its standard error.
pub fn read(command: &mut Command, timeout: Duration) -> Result<String> {
    let output = capture(command, timeout)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", describe(command), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Run a command that has to succeed, with the standard streams as the caller set them.
///
/// # Errors
/// The command cannot be started, failed, or did not end in time.
pub fn run(command: &mut Command, timeout: Duration) -> Result<()> {
    let mut child = spawn(command)?;
    let status = finish(&mut child, timeout).with_context(|| describe(command))?;
    if let Some(signal) = status.signal() {
        bail!("{}: ended by signal {signal}", describe(command));
    }
    ensure!(status.success(), "{}: {status}", describe(command));
    Ok(())
}

/// The error of a wait that took too long.
pub(crate) fn late(timeout: Duration) -> anyhow::Error {
    anyhow::anyhow!("not done within {} s", timeout.as_secs())
}

/// SIGTERM, and SIGKILL for those that do not hear.
pub(crate) fn end(child: &mut Child) {
    signal_group(child, Signal::SIGTERM);
    let deadline = Instant::now() + CLEAN_UP;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(POLL);
    }
    signal_group(child, Signal::SIGKILL);
    let _ = child.wait();
}

/// mmdebstrap's first process, asked alone, would wait for its others to finish the build.
fn signal_group(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended by itself meanwhile.
        let _ = killpg(Pid::from_raw(pid), signal);
    }
}

/// Start a child, and say which one if that does not work. It leads a process group: Ctrl-C
/// reaches only us, and we end our children in order.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.process_group(0).spawn().with_context(|| format!("start {}", describe(command)))
}

fn describe(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came before a read error is still worth showing.
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_child_is_ended() {
        let started = Instant::now();
        let error = run(Command::new("sleep").arg("30"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(format!("{error:#}"), "sleep: not done within 0 s");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn an_output_held_open_does_not_hold_us() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 30 & echo started"]);
        let started = Instant::now();
        capture(&mut command, Duration::from_secs(5)).unwrap();
        assert!(started.elapsed() < Duration::from_secs(25));
    }

    #[test]
    fn a_failure_carries_what_the_command_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2; exit 3"]);
        let error = read(&mut command, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.to_string(), "sh: no such thing");
    }
}
