//! What we ask of the simulated systemd and logind.

use std::path::Path;
use std::time::{Duration, Instant};

use super::logind::{Logind, Manager, Outage};
use crate::outside::crash;
use crate::outside::properties::{Properties, Property};
use crate::outside::runtime_dir::{Viewpoint, check};
use crate::outside::systemd::{Awaited, Systemd, Unit, Units};
use crate::terms::error::{Error, NotLive, Problem, Result};

/// More than any budget: the bus has given up by then.
const LATE: Duration = Duration::from_secs(60);

impl Systemd for Logind {
    fn now(&self) -> Instant {
        self.now
    }

    fn look(&mut self, dir: &Path, uid: u32) -> Result<(), NotLive> {
        // One that is not there makes a real error to return.
        if dir.exists() { Ok(()) } else { check(&dir.join("none"), uid, Viewpoint::Root) }
    }

    fn manager(&self, _uid: u32) -> Option<u64> {
        (!matches!(self.manager, Manager::Down | Manager::Killed)).then_some(self.managers)
    }

    fn set_linger(&mut self, _uid: u32, on: bool) -> Result<()> {
        if self.arrives() {
            self.linger(on);
        }
        self.answer(())
    }

    fn units(&mut self, uid: u32) -> Result<Units> {
        self.arrives();
        let has_dir = self.roots.runtime_dir(uid).exists();
        let (manager, runtime_dir) = match self.manager {
            Manager::Down => ("inactive", "inactive"),
            Manager::Starting => ("activating", "active"),
            Manager::Up => ("active", "active"),
            Manager::Killed => ("failed", if has_dir { "active" } else { "inactive" }),
            Manager::Stopping { .. } => ("deactivating", "active"),
        };
        let runtime_dir = Unit { job: None, ..self.unit(runtime_dir) };
        self.answer(Units { manager: self.unit(manager), runtime_dir })
    }

    fn start_manager(&mut self, _uid: u32) -> Result<()> {
        if self.arrives() {
            // It was seen to hang for 90 s.
            let is_stopping = matches!(self.manager, Manager::Stopping { .. });
            assert!(!is_stopping, "a start on top of a stop");
            self.start();
        }
        let started = if self.outage.is_masked { Err(refusal("is masked")) } else { Ok(()) };
        self.answer(started)?
    }

    fn stop_manager(&mut self, _uid: u32) -> Result<()> {
        if self.arrives() {
            self.stop();
        }
        self.answer(())
    }

    fn kill_manager(&mut self, _uid: u32) -> Result<()> {
        if self.arrives() {
            self.kill(true);
        }
        self.answer(())
    }

    fn forget_failure(&mut self, _uid: u32) -> Result<()> {
        self.arrives();
        self.answer(())
    }

    fn freeze(&mut self, _uid: u32) -> Result<()> {
        if self.arrives() {
            self.freeze();
        }
        let frozen = if self.is_frozen { Ok(()) } else { Err(refusal("is not active")) };
        self.answer(frozen)?
    }

    fn thaw(&mut self, _uid: u32) -> Result<()> {
        if self.arrives() {
            self.is_frozen = false;
        }
        self.answer(())
    }

    fn guard(&mut self, _uid: u32, _keep: Duration, _command: &Path) -> Result<()> {
        if self.arrives() {
            self.is_guarded = true;
        }
        self.answer(())
    }

    fn slice(&mut self, _uid: u32) -> Result<Properties> {
        self.arrives();
        self.answer(self.slice_now())
    }

    fn set_slice(&mut self, _uid: u32, properties: Vec<Property>) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        if self.arrives() {
            self.set(properties);
        }
        self.answer(())
    }

    fn removes_ipc(&mut self) -> Result<bool> {
        self.arrives();
        self.answer(true)
    }

    fn is_logged_in(&mut self, _uid: u32) -> Result<bool> {
        self.arrives();
        self.answer(self.is_logged_in)
    }

    fn watch(&mut self, _uid: u32, _awaited: Awaited) -> Result<()> {
        self.arrives();
        self.answer(())
    }

    fn changed(&mut self, _what: &str, until: Instant) -> Result<bool> {
        let has_changed = !self.outage.hangs && self.pass_time();
        self.now = if has_changed { self.now + Duration::from_millis(200) } else { until };
        if self.now > self.began + LATE { Err(refusal("late")) } else { self.answer(has_changed) }
    }
}

impl Logind {
    /// Whether the question that comes now is carried out.
    fn arrives(&mut self) -> bool {
        crash::point();
        self.asked += 1;
        let Outage { from, does_it, .. } = self.outage;
        from.is_none_or(|from| self.asked < from || self.asked == from && does_it)
    }

    fn answer<T>(&self, answer: T) -> Result<T> {
        if self.outage.from.is_some_and(|from| self.asked >= from) {
            return Err(refusal("the bus is gone"));
        }
        Ok(answer)
    }

    fn unit(&self, active: &str) -> Unit {
        let load = if self.outage.is_masked { "masked" } else { "loaded" };
        let job = match self.manager {
            Manager::Starting => Some("start".into()),
            Manager::Stopping { again } => Some(if again { "restart" } else { "stop" }.into()),
            _ => None,
        };
        Unit { load: load.into(), active: active.into(), job }
    }
}

fn refusal(cause: &str) -> Error {
    Problem::Bus { doing: "simulated".into(), cause: cause.into() }.into()
}
