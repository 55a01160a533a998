//! Programs of the node that are asked, each with a deadline.

use std::env;
use std::fmt;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// An emulated node with other work takes ten seconds for `systemctl show`; a bus
/// that is silent would take for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where daemons are, for users whose PATH does not have it.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Why a program has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// There is none of that name.
    NotThere(String),
    /// It failed: its name and its first complaint.
    Failed(String),
}

impl fmt::Display for Silence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(program) => write!(out, "{program}: not found"),
            Self::Failed(complaint) => out.write_str(complaint),
        }
    }
}

/// Who runs programs, so that tests can answer.
pub(crate) trait Tools {
    /// What `program` prints, if it does so within `patience`.
    ///
    /// # Errors
    /// Why it did not.
    fn run_within(
        &self,
        patience: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<String, Silence>;

    /// The same within a time that is enough for any.
    ///
    /// # Errors
    /// Why it did not.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Silence> {
        self.run_within(PATIENCE, program, arguments)
    }
}

/// This node's own.
#[derive(Debug)]
pub(crate) struct Real;

impl Tools for Real {
    fn run_within(
        &self,
        patience: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<String, Silence> {
        let path = format!("{}:{SBIN}", env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", path).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Silence::NotThere(program.to_owned()),
            _ => Silence::Failed(format!("{program}: {error}")),
        })?;
        within(patience, child).map_err(|error| Silence::Failed(format!("{program}: {error}")))
    }
}

fn within(patience: Duration, mut child: Child) -> Result<String, String> {
    let (said, complained) = (child.stdout.take(), child.stderr.take());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let both = (text_of(said), text_of(complained));
        let _ = done.send(both);
    });
    let Ok((said, complained)) = is_done.recv_timeout(patience) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("no answer in {} s", patience.as_secs()));
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    let first = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    match first(&complained) {
        _ if status.success() => Ok(said),
        nothing if nothing.is_empty() => Err(status.to_string()),
        complaint => Err(complaint),
    }
}

/// What it writes to a pipe beyond a screenful of errors, or what is no text, is
/// nothing that is asked for here.
fn text_of(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Answers that a test has written down: the command line, and what it prints.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Scripted(pub(crate) Vec<(String, Result<String, String>)>);

#[cfg(test)]
impl Tools for Scripted {
    fn run_within(
        &self,
        _patience: Duration,
        program: &str,
        arguments: &[&str],
    ) -> Result<String, Silence> {
        let asked = format!("{program} {}", arguments.join(" "));
        let known = self.0.iter().find(|(line, _)| asked.starts_with(line.as_str()));
        let (_, answer) = known.ok_or_else(|| Silence::NotThere(program.to_owned()))?;
        answer.clone().map_err(Silence::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        within(patience, command.spawn().unwrap())
    }

    /// Show that a program's answer, its complaint and its silence are told apart.
    #[test]
    fn no_program_is_waited_for_for_ever() {
        let second = Duration::from_secs(1);
        assert_eq!(sh("echo said", second * 10), Ok("said\n".into()));
        assert_eq!(sh("echo no >&2; exit 3", second * 10), Err("no".into()));
        assert_eq!(sh("exit 3", second * 10), Err("exit status: 3".into()));
        assert_eq!(sh("exec sleep 60", second), Err("no answer in 1 s".into()));
    }

    /// Show that a program that is not there is named.
    #[test]
    fn a_missing_program_is_named() {
        let missing = Real.run("no-such-program", &[]).unwrap_err();
        assert_eq!(missing.to_string(), "no-such-program: not found");
        assert!(matches!(Real.run("false", &[]), Err(Silence::Failed(_))));
    }
}
