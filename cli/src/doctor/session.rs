//! A user's session as it is now: linger, runtime directory, manager, bus.

use std::time::Duration;

use user_session::status::{self, Before, LeaseView};
use user_session::{Lease, Means, NotLive, Viewpoint, check_live, check_manager};

use super::account::User;
use super::{Finding, inside};
use crate::node::Node;
use crate::tools::Silence;

/// For a session's bus to answer. busctl(1) bounds the call, and not what is said
/// before it: to a bus that is stopped it talks for 25 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the findings are drawn from.
struct Session {
    user: User,
    /// A job that is to have the session: root sees leases, a job sees itself.
    job: Option<u32>,
    /// Any, of either kind: as long as there is one nothing is put back.
    held: Option<u32>,
    /// It is that job's own, as whoever asks from inside sees it.
    is_own: bool,
    lingers: Option<bool>,
    before: Option<Before>,
    is_there: bool,
    live: Result<(), NotLive>,
    manager: Result<(), NotLive>,
}

/// Root sees nothing of what is in a job's own session. `is_own`: jobs have sessions of their own.
pub(super) fn checks(node: &Node, user: &User, is_own: bool) -> Vec<Finding> {
    let leases = status::leases(&node.roots, user.uid).unwrap_or_default();
    let session = Session::of(node, user, is_own, &leases);
    let mut findings =
        vec![session.linger(), session.runtime_dir(node), session.manager(), session.bus(node)];
    findings.extend(inside::check(leases.iter().filter(|lease| is_open(lease))));
    findings
}

fn is_open(lease: &LeaseView) -> bool {
    lease.lease.as_ref().is_ok_and(Lease::is_open)
}

impl Session {
    fn of(node: &Node, user: &User, is_own: bool, leases: &[LeaseView]) -> Self {
        let (roots, uid) = (&node.roots, user.uid);
        let dir = roots.runtime_dir(uid);
        let seen_by = if user.asks { Viewpoint::User } else { Viewpoint::Root };
        let shared = leases.iter().find(|lease| is_open(lease) && lease.own.is_none());
        let asking = job_of_asker(node).filter(|_| user.asks);
        let job = shared.map(|lease| lease.job).or(asking);
        let held = leases.iter().find(|lease| is_open(lease)).map(|lease| lease.job);
        Self {
            user: user.clone(),
            job,
            held: job.or(held),
            is_own: is_own && asking.is_some(),
            lingers: status::lingers(roots, &user.name).ok(),
            before: status::before(roots, uid).ok().flatten(),
            is_there: status::has_runtime_dir(roots, uid),
            live: check_live(&dir, uid, seen_by),
            manager: check_manager(&roots.slice(uid), uid),
        }
    }

    fn linger(&self) -> Finding {
        const CHECK: &str = "linger";
        let name = &self.user.name;
        let of_linger = self.before.filter(|before| before.means == Means::Linger);
        match (self.lingers, of_linger.map(|before| before.was_on), self.job) {
            (None, ..) => Finding::warn(CHECK, "logind's directory cannot be read", "ask root"),
            // With a session of a job's own it is its user's doing.
            (Some(true), Some(false), _) => match self.held {
                Some(job) => Finding::ok(CHECK, format!("on for job {job}, off after the last")),
                None => Finding::warn(CHECK, "still on, and no job holds it", "spank-linger sweep"),
            },
            (Some(true), ..) => {
                Finding::ok(CHECK, format!("on: {name}'s session stays after jobs"))
            }
            (Some(false), Some(_), Some(job)) => {
                let found = format!("off under job {job}: somebody has turned it off");
                Finding::warn(CHECK, found, "the job's next step turns it on again")
            }
            (Some(false), ..) => Finding::ok(CHECK, "off"),
        }
    }

    /// Nothing there and no job that needs it: what is checked is not needed now.
    fn is_idle(&self) -> bool {
        !self.is_there && self.job.is_none()
    }

    fn runtime_dir(&self, node: &Node) -> Finding {
        const CHECK: &str = "runtime-dir";
        let dir = node.name_of(&node.roots.runtime_dir(self.user.uid)).display().to_string();
        match &self.live {
            _ if self.is_idle() => {
                Finding::ok(CHECK, format!("{dir}: not there, and no job needs it"))
            }
            Err(error) if error.path().ends_with(self.user.uid.to_string()) => {
                Finding::fail(CHECK, error.to_string(), self.cure())
            }
            _ => Finding::ok(CHECK, dir),
        }
    }

    fn manager(&self) -> Finding {
        const CHECK: &str = "manager";
        match &self.manager {
            _ if self.is_idle() => Finding::ok(CHECK, "does not run, and no job needs it"),
            Ok(()) if self.is_own => Finding::ok(CHECK, "the job's own runs"),
            Ok(()) => Finding::ok(CHECK, format!("user@{}.service runs", self.user.uid)),
            Err(error) => Finding::fail(CHECK, error.to_string(), self.cure()),
        }
    }

    fn bus(&self, node: &Node) -> Finding {
        const CHECK: &str = "bus";
        match &self.live {
            _ if self.is_idle() => Finding::ok(CHECK, "not there, and no job needs it"),
            Err(error) => Finding::fail(CHECK, error.to_string(), self.cure()),
            Ok(()) => match self.ask_the_bus(node) {
                Ok(_) => Finding::ok(CHECK, "answers"),
                Err(error) => {
                    Finding::fail(CHECK, format!("does not answer: {error}"), self.cure())
                }
            },
        }
    }

    /// As the user: root touches nothing that a user controls.
    fn ask_the_bus(&self, node: &Node) -> Result<String, Silence> {
        let User { uid, gid, asks, .. } = self.user;
        let bus = node.name_of(&node.roots.runtime_dir(uid)).join("bus");
        let address = format!("--address=unix:path={}", bus.display());
        let dbus = "org.freedesktop.DBus";
        let ask = [&address, "call", dbus, "/", dbus, "GetId"];
        if asks {
            return node.tools.run_within(PATIENCE, "busctl", &ask);
        }
        let ids = [format!("--reuid={uid}"), format!("--regid={gid}")];
        let become_user = [&ids[0], &ids[1], "--clear-groups", "--reset-env", "busctl"];
        node.tools.run_within(PATIENCE, "setpriv", &[&become_user[..], &ask].concat())
    }

    fn cure(&self) -> String {
        let uid = self.user.uid;
        let journal = format!("journalctl -u user@{uid}.service");
        match self.job {
            Some(_) if self.is_own => "the job's next step opens the session again".into(),
            Some(_) => format!("see '{journal}'; the job's next step opens the session again"),
            None => format!("see '{journal}'; loginctl terminate-user {}", self.user.name),
        }
    }
}

/// The job in which the command runs.
fn job_of_asker(node: &Node) -> Option<u32> {
    node.env("SLURM_JOB_ID")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    const LEASE: &str = r#"{"version":1,"state":"open"}"#;
    const OFF_BEFORE: &str = r#"{"version":1,"name":"erin","linger_before":false}"#;

    /// A node where a job of erin's holds a session.
    fn held() -> MadeUp {
        node()
            .with("/run/spank-linger/4711/12", LEASE)
            .with("/var/lib/spank-linger/4711", OFF_BEFORE)
            .with("/var/lib/systemd/linger/erin", "")
            .with("/run/user/4711/bus", "")
            .with("/sys/fs/cgroup/user.slice/user-4711.slice/user@4711.service/init.scope/cgroup.procs", "1\n")
    }

    fn of(made_up: &MadeUp) -> Session {
        let leases = status::leases(&made_up.node.roots, 4711).unwrap();
        Session::of(&made_up.node, &erin(), false, &leases)
    }

    /// A session that is live, as no test can mount one.
    fn live(made_up: &MadeUp) -> Session {
        Session { live: Ok(()), ..of(made_up) }
    }

    /// Show that a session which a job holds is well where all of it is there.
    #[test]
    fn a_live_session_is_well() {
        let made_up = held();
        let session = live(&made_up);
        assert_finding(&session.linger(), State::Ok, &["for job 12"]);
        assert_finding(&session.runtime_dir(&made_up.node), State::Ok, &["/run/user/4711"]);
        assert_finding(&session.manager(), State::Ok, &["user@4711.service runs"]);
        let ask = "busctl --address=unix:path=/run/user/4711/bus call";
        let as_erin = format!("setpriv --reuid=4711 --regid=4712 --clear-groups --reset-env {ask}");
        let made_up = made_up.with_tools([(ask, Ok("s \"1\"")), (&as_erin, Ok("s \"1\""))]);
        assert_finding(&session.bus(&made_up.node), State::Ok, &["answers"]);
        let mut asked = live(&made_up);
        asked.user.asks = true;
        assert_finding(&asked.bus(&made_up.node), State::Ok, &["answers"]);
    }

    /// Show that a bus that takes connections and is silent is named.
    #[test]
    fn a_silent_bus_is_named() {
        let made_up = held().with_tools([("setpriv", Err("Connection timed out"))]);
        let found = live(&made_up).bus(&made_up.node);
        assert_finding(
            &found,
            State::Fail,
            &["does not answer: Connection timed out", "journalctl"],
        );
    }

    /// Show that without a job nothing needs to be there.
    #[test]
    fn no_session_is_well_without_a_job() {
        for finding in checks(&node().node, &erin(), false) {
            assert_finding(&finding, State::Ok, &[]);
        }
    }

    /// Show that each part that is missing under a job is named.
    #[test]
    fn what_is_missing_under_a_job_is_named() {
        let made_up = node()
            .with("/run/spank-linger/4711/12", LEASE)
            .with("/sys/fs/cgroup/cgroup.controllers", "memory");
        let session = of(&made_up);
        let cure = "next step opens the session again";
        let found = session.runtime_dir(&made_up.node);
        assert_finding(&found, State::Fail, &["4711 does not exist", cure]);
        assert_finding(&session.manager(), State::Fail, &["has no process", cure]);
        assert_finding(&session.bus(&made_up.node), State::Fail, &["does not exist", cure]);
    }

    /// Show that linger which a user turns on beside a session of a job's own is no fault as long as that job runs.
    #[test]
    fn linger_beside_a_job_is_well() {
        let session = Session { job: None, ..of(&held()) };
        assert_finding(&session.linger(), State::Ok, &["for job 12"]);
        let session = Session { held: None, ..session };
        assert_finding(&session.linger(), State::Warn, &["no job holds it", "sweep"]);
    }

    /// Show that what a user has of a session is looked at in their own job.
    #[test]
    fn a_job_sees_itself() {
        let made_up = node().asked_with(|name| (name == "SLURM_JOB_ID").then(|| "7".into()));
        let user = User { uid: made_up.node.asker, asks: true, ..erin() };
        let session = Session::of(&made_up.node, &user, false, &[]);
        assert_finding(&session.bus(&made_up.node), State::Fail, &["does not exist"]);
    }

    /// Show that a job with a session of its own sees that one where others have the user's.
    #[test]
    fn a_job_sees_its_own() {
        let made_up = held().asked_with(|name| (name == "SLURM_JOB_ID").then(|| "7".into()));
        let user = User { asks: true, ..erin() };
        let session = Session::of(&made_up.node, &user, true, &[]);
        assert_finding(&session.manager(), State::Ok, &["the job's own runs"]);
        let bus = session.bus(&made_up.node);
        assert_finding(&bus, State::Fail, &["next step opens the session again"]);
        assert!(!bus.cure.unwrap().contains("user@4711.service"));
    }

    /// Show how linger may stand, and what is wrong about it.
    #[test]
    fn linger_is_told_whose_it_is() {
        let linger = |made_up: &MadeUp| of(made_up).linger();
        let own = node().with("/var/lib/systemd/linger/erin", "");
        assert_finding(&linger(&own), State::Ok, &["stays after jobs"]);
        let left = own.with("/var/lib/spank-linger/4711", OFF_BEFORE);
        assert_finding(&linger(&left), State::Warn, &["no job holds it", "spank-linger sweep"]);
        let off = held();
        std::fs::remove_file(off.node.at("/var/lib/systemd/linger/erin")).unwrap();
        assert_finding(&linger(&off), State::Warn, &["turned it off", "next step"]);
    }
}
