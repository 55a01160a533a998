//! What went wrong lately: in slurmd's log, and of jobs that are still here.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::unistd::gethostname;
use serde::Serialize;

use crate::doctor::slurmd::Slurmd;
use crate::node::Node;
use crate::slurm_conf::SlurmConf;

/// A page of a monitor's.
const AT_MOST: usize = 20;

/// What is read of the log's end: thousands of lines, in a millisecond.
const TAIL: u64 = 512 * 1024;

/// How the plugin's errors begin, behind Slurm's own words.
const ERROR: &str = "error: linger: ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    time: Option<String>,
    job: Option<u32>,
    uid: Option<u32>,
    message: String,
}

/// The last ones, the newest last. Of jobs without a session that no log tells of what their leases say.
pub(super) fn of(node: &Node, of_leases: impl Iterator<Item = Failure>) -> Vec<Failure> {
    let log = log_of(node).and_then(|log| tail(&node.at(log)).ok()).unwrap_or_default();
    let logged: Vec<_> = log.lines().filter_map(Failure::logged).collect();
    let is_told = |job| logged.iter().any(|failure| failure.job == Some(job));
    let untold = of_leases.filter(|failure| !failure.job.is_some_and(is_told));
    let all: Vec<_> = untold.chain(logged.iter().cloned()).collect();
    let older = all.len().saturating_sub(AT_MOST);
    all.into_iter().skip(older).collect()
}

impl Failure {
    /// `[TIME] [JOB.STEP] error: linger: job JOB uid UID: MESSAGE`, with the step's log only where it is one's.
    fn logged(line: &str) -> Option<Self> {
        let (before, said) = line.split_once(ERROR)?;
        let time = before.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let time = time.map(|(time, _)| time.to_owned());
        let (whose, message) = said.split_once(": ").unwrap_or(("", said));
        let words: Vec<_> = whose.split(' ').collect();
        let (job, uid) = match words[..] {
            ["job", job, "uid", uid] => (job.parse().ok(), uid.parse().ok()),
            ["uid", uid] => (None, uid.parse().ok()),
            _ => (None, None),
        };
        let message = if job.or(uid).is_some() { message } else { said };
        Some(Self { time, job, uid, message: message.to_owned() })
    }

    /// What a lease of a user says.
    pub(super) fn of_job(job: u32, uid: u32, message: &str) -> Self {
        Self { time: None, job: Some(job), uid: Some(uid), message: message.to_owned() }
    }
}

/// slurmd's log, where it has a file: `%h` and `%n` stand for the node (slurm.conf(5)).
fn log_of(node: &Node) -> Option<PathBuf> {
    let told = Slurmd::find(node).and_then(|slurmd| slurmd.conf);
    let conf = SlurmConf::find(node, told)?;
    let host = gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap_or_default();
    let file = conf.settings.get("SlurmdLogFile")?.replace("%h", host).replace("%n", host);
    Some(file.into())
}

fn tail(file: &Path) -> io::Result<String> {
    let mut log = File::open(file)?;
    let found = log.metadata()?;
    if !found.is_file() {
        return Ok(String::new());
    }
    log.seek(SeekFrom::Start(found.len().saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    log.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::super::model::tests::busy;
    use super::super::model::{LeaseState, Status};
    use super::*;
    use crate::node::made_up::node;

    const LINE: &str = "[2026-09-01T12:00:00.123] error: linger: job 10 uid 1002: open session: start user@1002.service: it is masked";

    /// Show that lines of the plugin's are told apart from others, with time, job and user where they say them.
    #[test]
    fn lines_are_read() {
        let failure = Failure::logged(LINE).unwrap();
        assert_eq!(failure.time.as_deref(), Some("2026-09-01T12:00:00.123"));
        assert_eq!((failure.job, failure.uid), (Some(10), Some(1002)));
        assert_eq!(failure.message, "open session: start user@1002.service: it is masked");
        let step = Failure::logged("[T] [42.extern] error: linger: job 42 uid 7: x").unwrap();
        assert_eq!((step.time.as_deref(), step.job), (Some("T"), Some(42)));
        let swept = Failure::logged("error: linger: uid 7: sweep: gone").unwrap();
        assert_eq!((swept.time, swept.job, swept.uid), (None, None, Some(7)));
        assert_eq!(Failure::logged("error: linger: bug: here").unwrap().message, "bug: here");
        for other in ["error: job 10", "[T] linger: job 10 uid 7: open session: done in 3 ms"] {
            assert_eq!(Failure::logged(other), None);
        }
    }

    /// Show that only the last ones are there, in their order, and none of another plugin's.
    #[test]
    fn the_last_ones_are_there() {
        let line = |job| format!("[T] error: linger: job {job} uid 7: x\n[T] debug: y\n");
        let lines: Vec<_> = (1..=30).map(line).collect();
        let filler = "z".repeat(1024) + "\n";
        let made_up = node()
            .with("/etc/slurm/slurm.conf", "SlurmdLogFile=/var/log/%n.log\n")
            .with(&format!("/var/log/{}.log", host()), filler.repeat(1000) + &lines.concat());
        let jobs: Vec<_> =
            of(&made_up.node, iter::empty()).into_iter().filter_map(|it| it.job).collect();
        assert_eq!(jobs, (11..=30).collect::<Vec<_>>());
        assert_eq!(of(&node().node, iter::empty()), []);
    }

    fn host() -> String {
        let host = gethostname().unwrap().to_string_lossy().into_owned();
        host.split('.').next().unwrap().to_owned()
    }

    /// Show that a lease tells of a failure where no log does, and not twice.
    #[test]
    fn leases_tell_what_no_log_does() {
        let made_up = busy();
        let failures = |made_up: &crate::node::made_up::MadeUp| {
            let status = Status::of(&made_up.node).unwrap();
            let leases = status.users.iter().flat_map(|user| user.leases.iter().flatten());
            assert_eq!(leases.filter(|lease| lease.state == LeaseState::Failed).count(), 1);
            status.failures.unwrap()
        };
        let [of_lease] = &failures(&made_up)[..] else { panic!() };
        assert_eq!((of_lease.job, of_lease.message.as_str()), (Some(13), "no bus"));
        made_up.put("/etc/slurm/slurm.conf", "SlurmdLogFile=/log\n");
        made_up.put("/log", "[T] error: linger: job 13 uid 4711: open session: no bus\n");
        let [logged] = &failures(&made_up)[..] else { panic!() };
        assert_eq!((logged.time.as_deref(), logged.job), (Some("T"), Some(13)));
        let asked = made_up.asked_with(|_| None);
        assert!(Status::of(&asked.node).unwrap().failures.is_none());
    }
}
