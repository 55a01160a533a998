//! A systemd and logind that follow a script, for tests.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::outside::properties::{INFINITY, Properties, Property};
use crate::outside::runtime_dir::{Viewpoint, check};
use crate::outside::systemd::{Awaited, Systemd, Unit, Units};
use crate::terms::error::{Error, NotLive, Problem, Result};
use crate::terms::roots::Roots;
use crate::terms::site::{Confine, Containment, Means, SessionKind, Site};

/// A place of its own that stands for a node, with the parents of our state.
pub(crate) fn place() -> (TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots::below(dir.path());
    for parent in [&roots.run, &roots.lib] {
        fs::create_dir_all(parent.parent().unwrap()).unwrap();
    }
    fs::create_dir_all(&roots.cgroup).unwrap();
    fs::write(roots.cgroup.join("cgroup.controllers"), "").unwrap();
    (dir, roots)
}

/// The same as a site of its own, which confines nothing (what is asked about the slice is in its own tests and in the
/// model's) and keeps no session.
pub(crate) fn site() -> (TempDir, Site) {
    let (dir, roots) = place();
    let (confine, grace) = (Confine::NONE, Duration::from_secs(5));
    let containment = Containment { confine, kill_leftovers: true, grace };
    let (timeout, means, keep) = (Duration::from_secs(15), Means::Linger, Duration::ZERO);
    (dir, Site { roots, timeout, kind: SessionKind::Shared, means, containment, keep })
}

/// A user's slice before anybody has set anything.
pub(crate) fn untouched() -> Properties {
    Properties {
        memory_max: INFINITY,
        memory_swap_max: INFINITY,
        tasks_max: 5000,
        allowed_cpus: Vec::new(),
        device_policy: "auto".into(),
        device_allow: Vec::new(),
    }
}

/// One question that is expected, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The look at the runtime directory: is it live?
    Look(bool),
    /// `SetUserLinger`, which then does what it says.
    Linger(bool),
    /// What the user does before the next question, here: linger is on.
    UserLingers(PathBuf),
    /// The units are found in this state.
    Units(&'static str),
    /// `StartUnit`, refused with a text or not.
    Start(Result<(), &'static str>),
    Stop,
    Kill,
    Forget,
    /// The slice has these properties.
    Slice(Properties),
    /// They are set so.
    SetSlice(Vec<Property>),
    RemovesIpc(bool),
    LoggedIn(bool),
    Freeze,
    Thaw,
    /// The timer, by its seconds and its command.
    Guard(u64, PathBuf),
    Watch,
    /// Something changed after so many seconds, or nothing did until the end.
    Changed(Option<u64>),
    /// The bus is gone, whatever is asked.
    NoBus,
}

/// Answers in the order of the script. Dropping it asserts that all of the
/// script was asked for.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: VecDeque<Ask>,
    now: Instant,
    linger_file: PathBuf,
}

impl Scripted {
    pub(crate) fn new(linger_file: PathBuf, script: impl IntoIterator<Item = Ask>) -> Self {
        Self { script: script.into_iter().collect(), now: Instant::now(), linger_file }
    }

    fn next(&mut self, asked: &str) -> Result<Ask> {
        match self.script.pop_front() {
            Some(Ask::UserLingers(file)) => {
                fs::write(file, "").unwrap();
                self.next(asked)
            }
            Some(Ask::NoBus) => Err(refusal("no bus")),
            Some(ask) => Ok(ask),
            None => panic!("asked beyond the script: {asked}"),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.script.is_empty(), "never asked: {:?}", self.script);
        }
    }
}

fn refusal(cause: &str) -> Error {
    Problem::Bus { doing: "scripted".into(), cause: cause.into() }.into()
}

fn unit(state: &str) -> Unit {
    let (active, job) = state.split_once('+').unwrap_or((state, ""));
    let load = if state == "masked" { "masked" } else { "loaded" };
    let active = if state == "masked" { "inactive" } else { active };
    Unit { load: load.into(), active: active.into(), job: (!job.is_empty()).then(|| job.into()) }
}

impl Systemd for Scripted {
    fn now(&self) -> Instant {
        self.now
    }

    fn look(&mut self, dir: &Path, uid: u32) -> Result<(), NotLive> {
        match self.next("look") {
            Ok(Ask::Look(true)) => Ok(()),
            // A directory that is not there makes a real error to return.
            Ok(Ask::Look(false)) => check(&dir.join("none"), uid, Viewpoint::Root),
            other => panic!("look at the session instead of {other:?}"),
        }
    }

    fn manager(&self, _uid: u32) -> Option<u64> {
        Some(1)
    }

    fn set_linger(&mut self, _uid: u32, on: bool) -> Result<()> {
        assert_eq!(self.next("set_linger")?, Ask::Linger(on));
        if on {
            fs::write(&self.linger_file, "").unwrap();
        } else {
            let _ = fs::remove_file(&self.linger_file);
        }
        Ok(())
    }

    fn units(&mut self, _uid: u32) -> Result<Units> {
        match self.next("units")? {
            Ask::Units(state) => Ok(Units { manager: unit(state), runtime_dir: unit(state) }),
            other => panic!("units instead of {other:?}"),
        }
    }

    fn start_manager(&mut self, _uid: u32) -> Result<()> {
        match self.next("start_manager")? {
            Ask::Start(answer) => answer.map_err(refusal),
            other => panic!("start instead of {other:?}"),
        }
    }

    fn stop_manager(&mut self, _uid: u32) -> Result<()> {
        assert_eq!(self.next("stop_manager")?, Ask::Stop);
        Ok(())
    }

    fn kill_manager(&mut self, _uid: u32) -> Result<()> {
        assert_eq!(self.next("kill_manager")?, Ask::Kill);
        Ok(())
    }

    fn forget_failure(&mut self, _uid: u32) -> Result<()> {
        assert_eq!(self.next("forget_failure")?, Ask::Forget);
        Ok(())
    }

    fn freeze(&mut self, _uid: u32) -> Result<()> {
        assert_eq!(self.next("freeze")?, Ask::Freeze);
        Ok(())
    }

    fn thaw(&mut self, _uid: u32) -> Result<()> {
        assert_eq!(self.next("thaw")?, Ask::Thaw);
        Ok(())
    }

    fn guard(&mut self, _uid: u32, keep: Duration, command: &Path) -> Result<()> {
        assert_eq!(self.next("guard")?, Ask::Guard(keep.as_secs(), command.into()));
        Ok(())
    }

    fn slice(&mut self, _uid: u32) -> Result<Properties> {
        match self.next("slice")? {
            Ask::Slice(properties) => Ok(properties),
            other => panic!("slice instead of {other:?}"),
        }
    }

    fn set_slice(&mut self, _uid: u32, properties: Vec<Property>) -> Result<()> {
        assert_eq!(self.next("set_slice")?, Ask::SetSlice(properties));
        Ok(())
    }

    fn removes_ipc(&mut self) -> Result<bool> {
        match self.next("removes_ipc")? {
            Ask::RemovesIpc(answer) => Ok(answer),
            other => panic!("removes_ipc instead of {other:?}"),
        }
    }

    fn is_logged_in(&mut self, _uid: u32) -> Result<bool> {
        match self.next("is_logged_in")? {
            Ask::LoggedIn(answer) => Ok(answer),
            other => panic!("is_logged_in instead of {other:?}"),
        }
    }

    fn watch(&mut self, _uid: u32, _awaited: Awaited) -> Result<()> {
        assert_eq!(self.next("watch")?, Ask::Watch);
        Ok(())
    }

    fn changed(&mut self, _what: &str, until: Instant) -> Result<bool> {
        match self.next("changed")? {
            Ask::Changed(Some(seconds)) => {
                self.now += Duration::from_secs(seconds);
                Ok(true)
            }
            Ask::Changed(None) => {
                self.now = until;
                Ok(false)
            }
            other => panic!("changed instead of {other:?}"),
        }
    }
}
