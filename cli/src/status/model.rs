//! What `status` knows, in the shape of its JSON: docs/json.md has it in words.

use nix::unistd::{User as Account, gethostname};
use serde::Serialize;
use user_session::status::{self, Allowance, Before, LeaseView, Usage};
use user_session::{Lease, Means, Viewpoint};

use super::failures::{self, Failure};
use super::own::{OwnSession, micros};
use crate::node::Node;

/// Changes when a field goes or gets another meaning, not when one is added.
const VERSION: u32 = 1;

/// This node.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: u32,
    pub(crate) node: String,
    pub(crate) users: Vec<User>,
    pub(crate) failures: Option<Vec<Failure>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) name: Option<String>,
    pub(crate) session: Session,
    pub(crate) kept_seconds: Option<u64>,
    pub(crate) lingers: Option<bool>,
    pub(crate) before: Option<Was>,
    pub(crate) leases: Option<Vec<JobLease>>,
    pub(crate) caps: Caps,
    pub(crate) usage: Used,
}

#[derive(Debug, Serialize)]
pub(crate) struct Was {
    means: &'static str,
    pub(crate) on: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Session {
    pub(crate) state: SessionState,
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionState {
    Live,
    Broken,
    None,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobLease {
    pub(crate) job: u32,
    pub(crate) state: LeaseState,
    pub(crate) cause: Option<String>,
    pub(crate) stale: bool,
    pub(crate) limits: Option<JobLimits>,
    pub(crate) own_session: Option<OwnSession>,
    pub(crate) processes: Vec<Process>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LeaseState {
    Open,
    Opening,
    Failed,
    Declined,
    Unreadable,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobLimits {
    #[serde(flatten)]
    pub(crate) caps: Caps,
    pub(crate) denied_devices: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Caps {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) cpus: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Used {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) cpu_usec: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) role: String,
    pub(crate) pid: u32,
    pub(crate) alive: bool,
}

impl Status {
    /// All users, if root asks; else whoever asks.
    ///
    /// # Errors
    /// When root cannot read our state.
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let uids = if node.asked_by_root() {
            status::users(&node.roots).map_err(|error| error.to_string())?
        } else {
            [node.asker].into()
        };
        let users: Vec<_> =
            uids.into_iter().map(|uid| User::of(node, uid)).collect::<Result<_, _>>()?;
        // slurmd's log is root's.
        let of_leases = users.iter().flat_map(User::failures);
        let failures = node.asked_by_root().then(|| failures::of(node, of_leases));
        let name = gethostname().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { version: VERSION, node: name, users, failures })
    }
}

impl User {
    fn failures(&self) -> impl Iterator<Item = Failure> {
        self.leases.iter().flatten().filter_map(|lease| {
            let own = lease.own_session.as_ref().and_then(|own| own.problem.as_ref());
            Some(Failure::of_job(lease.job, self.uid, lease.cause.as_ref().or(own)?))
        })
    }

    fn of(node: &Node, uid: u32) -> Result<Self, String> {
        let roots = &node.roots;
        let account = Account::from_uid(uid.into()).ok().flatten();
        let name = account.map(|account| account.name);
        let lingers = name.as_ref().and_then(|name| status::lingers(roots, name).ok());
        let leases = if node.asked_by_root() {
            let leases = status::leases(roots, uid).map_err(|error| error.to_string())?;
            Some(leases.into_iter().map(JobLease::from).collect())
        } else {
            None
        };
        let caps = status::caps(roots, uid).map_err(|error| error.to_string())?;
        Ok(Self {
            uid,
            name,
            session: Session::of(node, uid),
            kept_seconds: status::kept(roots, uid).map(|left| left.as_secs()),
            lingers,
            before: status::before(roots, uid).ok().flatten().map(Was::from),
            leases,
            caps: caps.into(),
            usage: status::usage(roots, uid).into(),
        })
    }

    /// As it is shown.
    pub(crate) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

impl Session {
    fn of(node: &Node, uid: u32) -> Self {
        let seen_by = if uid == node.asker { Viewpoint::User } else { Viewpoint::Root };
        let problem = status::check_session(&node.roots, uid, seen_by).err();
        let is_there = status::has_runtime_dir(&node.roots, uid);
        let state = match &problem {
            None => SessionState::Live,
            Some(_) if is_there => SessionState::Broken,
            Some(_) => SessionState::None,
        };
        let problem = problem.filter(|_| is_there).map(|problem| problem.to_string());
        Self { state, problem }
    }
}

impl From<Before> for Was {
    fn from(before: Before) -> Self {
        let means = match before.means {
            Means::Linger => "linger",
            Means::Manager => "manager",
        };
        Self { means, on: before.was_on }
    }
}

impl From<LeaseView> for JobLease {
    fn from(view: LeaseView) -> Self {
        let (state, cause) = match view.lease {
            Ok(_) if view.is_opening => (LeaseState::Opening, None),
            Ok(Lease::Open) => (LeaseState::Open, None),
            Ok(Lease::Failed { cause, .. }) => (LeaseState::Failed, Some(cause)),
            Ok(Lease::Declined) => (LeaseState::Declined, None),
            Err(error) => (LeaseState::Unreadable, Some(error.to_string())),
        };
        let limits = view.limits.map(|limits| JobLimits {
            denied_devices: limits.denied_devices.clone(),
            caps: limits.into(),
        });
        let process = |keeper: status::KeeperView| Process {
            role: keeper.role.to_string(),
            pid: keeper.pid,
            alive: keeper.lives,
        };
        let processes = view.keepers.into_iter().map(process).collect();
        let own_session = view.own.map(OwnSession::from);
        Self { job: view.job, state, cause, stale: view.is_over, limits, own_session, processes }
    }
}

impl From<Allowance> for Caps {
    fn from(allowed: Allowance) -> Self {
        Self {
            memory_bytes: allowed.memory,
            swap_bytes: allowed.swap,
            tasks: allowed.tasks,
            cpus: allowed.cpus,
        }
    }
}

impl From<Usage> for Used {
    fn from(used: Usage) -> Self {
        Self {
            memory_bytes: used.memory,
            swap_bytes: used.swap,
            tasks: used.tasks,
            cpu_usec: used.cpu.and_then(micros),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    const OWN: &str = "/system.slice/slurmstepd.scope/job_14/step_extern/user/session";

    /// A node with a job of a user's that runs, one whose session failed, and one with a session of its own.
    pub(crate) fn busy() -> MadeUp {
        let slice = "/sys/fs/cgroup/user.slice/user-4711.slice";
        let own = format!("/sys/fs/cgroup{OWN}");
        let manager = r#"{"pid":77,"start":998877}"#;
        node()
            .with("/proc/77/stat", "77 (systemd) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 998877 1")
            .with("/run/spank-linger/4711/14", r#"{"version":1,"state":"open","kind":"own"}"#)
            .with(
                "/run/spank-linger/4711/14.own",
                format!(
                    r#"{{"version":1,"outside":1,"cgroup":"{}","manager":{manager},"guard":{manager},"is_ready":true}}"#,
                    OWN.trim_start_matches('/')
                ),
            )
            .with(&format!("{own}/memory.current"), "20971520\n")
            .with(&format!("{own}/memory.peak"), "41943040\n")
            .with(&format!("{own}/pids.current"), "12\n")
            .with(&format!("{own}/pids.peak"), "40\n")
            .with(&format!("{own}/cpu.stat"), "usage_usec 2500000\n")
            .with_ended("/run/spank-linger/4711/12")
            .with("/run/user/4711/bus", "")
            .with("/run/spank-linger/4711/12", r#"{"version":1,"state":"open","limits":{"memory":419430400,"cpus":"0","denied":[{"kind":"char","major":4,"minor":60}]}}"#)
            .with("/run/spank-linger/4711/13", r#"{"version":1,"state":"failed","cause":"no bus","told":true}"#)
            .with("/var/lib/spank-linger/4711", r#"{"version":1,"name":"erin","linger_before":false}"#)
            .with(&format!("{slice}/memory.max"), "419430400\n")
            .with(&format!("{slice}/memory.current"), "10485760\n")
            .with(&format!("{slice}/pids.current"), "7\n")
            .with(&format!("{slice}/cpu.stat"), "usage_usec 1250000\n")
            .with(&format!("{slice}/cpuset.cpus"), "0\n")
    }

    /// Show that a user's leases, caps and use are in the JSON.
    #[test]
    fn the_json_has_it_all() {
        let json = serde_json::to_value(Status::of(&busy().node).unwrap()).unwrap();
        let user = &json["users"][0];
        assert_eq!((json["version"].as_u64(), user["uid"].as_u64()), (Some(1), Some(4711)));
        assert_eq!(user["session"]["state"], "broken");
        assert_eq!(
            (&user["before"]["means"], &user["before"]["on"]),
            (&"linger".into(), &false.into())
        );
        assert_eq!(user["leases"][0]["limits"]["memory_bytes"], 419_430_400);
        assert_eq!(user["leases"][0]["limits"]["denied_devices"][0], "char 4:60");
        assert_eq!(user["leases"][0]["processes"][0]["role"], "extern");
        assert_eq!(user["leases"][1]["cause"], "no bus");
        let own = &user["leases"][2]["own_session"];
        assert_eq!((&own["state"], &own["cgroup"]), (&"live".into(), &OWN.into()));
        assert_eq!(own["peak_memory_bytes"], 41_943_040);
        assert_eq!((&own["tasks"], &own["peak_tasks"]), (&12.into(), &40.into()));
        assert_eq!(own["cpu_usec"], 2_500_000);
        assert!(user["leases"][0]["own_session"].is_null());
        assert_eq!(user["caps"]["cpus"], "0");
        assert_eq!(user["usage"]["cpu_usec"], 1_250_000);
    }

    /// Show that others than root see themselves, without leases.
    #[test]
    fn a_user_sees_no_leases() {
        let made_up = busy().asked_with(|_| None);
        let status = Status::of(&made_up.node).unwrap();
        let [user] = &status.users[..] else { panic!("{status:?}") };
        assert_eq!((user.uid, user.leases.is_none()), (made_up.node.asker, true));
        assert_eq!(user.session.state, SessionState::None);
    }

    /// Show that the documented example has the fields that are printed, and no
    /// other, so that whoever reads it reads the truth.
    #[test]
    fn the_documented_example_is_right() {
        let real = serde_json::to_value(Status::of(&busy().node).unwrap()).unwrap();
        crate::doctor::tests::is_documented("status", &real);
    }
}
