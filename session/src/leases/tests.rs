//! Leases against a scripted systemd and logind.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::kind::On;
use crate::leases::release::{end_left, release};
use crate::leases::sessions::Sessions;
use crate::leases::sweep::{see_the_end, sweep_at_start};
use crate::leases::take::{give_up, take};
use crate::outside::account::User;
use crate::outside::crash;
use crate::outside::fake::{Ask, Scripted, site};
use crate::outside::proc::show_this_process;
use crate::record::{self, Lease};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, Problem, Result};
use crate::terms::job::{Job, Moment, Role};
use crate::terms::roots::Roots;
use crate::terms::site::{Confine, Containment, Means, Site};

mod closing;
mod early;
mod keeping;
mod killed;
mod manager;
mod model;
mod own;
mod state;

/// A node of its own, on which we are the user.
struct Node {
    dir: TempDir,
    site: Site,
    roots: Roots,
    uid: u32,
    linger_file: PathBuf,
}

impl Node {
    fn new() -> Self {
        let (dir, site) = site();
        let roots = site.roots.clone();
        fs::create_dir_all(&roots.linger).unwrap();
        show_this_process(&roots.proc);
        let uid = nix::unistd::getuid().as_raw();
        let linger_file = User::look_up(uid, &roots).unwrap().linger_file();
        Self { dir, site, roots, uid, linger_file }
    }

    fn sessions(&self) -> Sessions {
        Sessions { site: self.site.clone() }
    }

    fn job(&self, id: u32) -> Job {
        Job { id, uid: self.uid }
    }

    fn systemd(&self, script: impl IntoIterator<Item = Ask>) -> Scripted {
        Scripted::new(self.linger_file.clone(), script)
    }

    fn take(&self, id: u32, script: impl IntoIterator<Item = Ask>) -> Result<()> {
        self.take_at(Moment::Prolog, id, script)
    }

    fn take_at(
        &self,
        moment: Moment,
        id: u32,
        script: impl IntoIterator<Item = Ask>,
    ) -> Result<()> {
        let budget = Budget::starting_now(Duration::from_secs(15));
        let (site, job) = (&self.site, self.job(id));
        let mut systemd = self.systemd(script);
        let taken = record::lock(&self.roots, self.uid, budget).and_then(|state| {
            let (uid, state, systemd) = (self.uid, &state, &mut systemd);
            take(&mut On { site, uid, state, systemd, budget }, job, moment)
        });
        if let Err(error) = &taken {
            let _ = give_up(&mut systemd, site, job, error.to_string(), budget);
        }
        taken
    }

    fn release(&self, id: u32, script: impl IntoIterator<Item = Ask>) -> Result<()> {
        let budget = Budget::starting_now(Duration::from_secs(15));
        let mut systemd = self.systemd(script);
        release(&mut systemd, &self.site, self.job(id), budget)
    }

    fn sweep(&self, slurmd_starts: bool, script: impl IntoIterator<Item = Ask>) -> Result<()> {
        let budget = Budget::starting_now(Duration::from_secs(15));
        let mut systemd = self.systemd(script);
        if sweep_at_start(&mut systemd, &self.site, self.uid, slurmd_starts, budget)? {
            see_the_end(&mut systemd, &self.site, self.uid, budget)?;
        }
        Ok(())
    }

    fn lease(&self, id: u32) -> Option<Lease> {
        record::state(&self.roots, self.uid).lease(id).unwrap()
    }

    fn lingers(&self) -> bool {
        self.linger_file.exists()
    }

    /// Nothing of ours is left, apart from the two empty directories.
    fn is_clean(&self) -> bool {
        let empty = |dir| fs::read_dir(dir).unwrap().next().is_none();
        empty(&self.roots.run) && empty(&self.roots.lib)
    }
}

/// What a first prolog asks when all goes well.
const OPENS: [Ask; 7] = [
    Ask::Watch,
    Ask::Units("inactive"),
    Ask::Linger(true),
    Ask::Units("activating+start"),
    Ask::Changed(Some(1)),
    Ask::Units("active"),
    Ask::Look(true),
];

/// What is asked to have the session end.
const PUTS_BACK: [Ask; 2] = [Ask::Watch, Ask::Linger(false)];

/// By a last epilog, which waits.
const ENDS: [Ask; 3] = [Ask::Watch, Ask::Linger(false), Ask::Watch];

/// And until that has ended.
const CLOSES: [Ask; 4] = [Ask::Watch, Ask::Linger(false), Ask::Watch, Ask::Units("inactive")];

/// Show that the first lease opens, the second finds the session open, and the
/// last closes it and leaves nothing.
#[test]
fn the_first_opens_and_the_last_closes() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
    node.take(2, [Ask::Look(true)]).unwrap();
    node.release(1, []).unwrap();
    assert!(node.lingers());
    node.release(2, CLOSES).unwrap();
    assert!(!node.lingers());
    assert!(node.is_clean());
}

/// Show that taking and dropping twice is as good as once, and that an epilog
/// without a prolog asks nothing.
#[test]
fn leases_are_idempotent() {
    let node = Node::new();
    node.release(1, []).unwrap();
    node.take(1, OPENS).unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(1, CLOSES).unwrap();
    node.release(1, []).unwrap();
    assert!(node.is_clean());
}

/// Show that a user who lingered before lingers afterwards, and that nobody is
/// asked to change that.
#[test]
fn linger_from_before_stays() {
    let node = Node::new();
    fs::write(&node.linger_file, "").unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(1, []).unwrap();
    assert!(node.lingers() && node.is_clean());
}

/// Show that linger that somebody turned off during the job is on again after it
/// when it was on before.
#[test]
fn linger_from_before_comes_back() {
    let node = Node::new();
    fs::write(&node.linger_file, "").unwrap();
    node.take(1, [Ask::Look(true), Ask::Units("active")]).unwrap();
    fs::remove_file(&node.linger_file).unwrap();
    node.release(1, [Ask::Watch, Ask::Linger(true)]).unwrap();
    assert!(node.lingers() && node.is_clean());
}

/// Show that a refused start is the lease's cause, and is undone at once.
#[test]
fn a_failed_opening_is_undone() {
    let node = Node::new();
    let refused = [
        Ask::Watch,
        Ask::Units("masked"),
        Ask::Linger(true),
        Ask::Units("masked"),
        Ask::Start(Err("Unit user@1.service is masked")),
        Ask::Watch,
        Ask::Linger(false),
    ];
    let error = node.take(1, refused).unwrap_err();
    assert!(error.to_string().contains("is masked"), "{error}");
    let Some(Lease::Failed { cause, told: false }) = node.lease(1) else { panic!() };
    assert_eq!(cause, error.to_string());
    assert!(!node.lingers());
    node.release(1, []).unwrap();
    assert!(node.is_clean());
}

/// Show that a failed lease does not hold a session that another job closes,
/// and that its failure did not close what the other job uses.
#[test]
fn a_failed_lease_holds_nothing() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    node.take(2, [Ask::Look(false), Ask::NoBus]).unwrap_err();
    assert!(node.lingers());
    node.release(1, CLOSES).unwrap();
    assert!(!node.lingers());
    node.release(2, []).unwrap();
    assert!(node.is_clean());
}

/// Show that a start that hangs is killed and begun again.
#[test]
fn a_hanging_start_is_begun_again() {
    let node = Node::new();
    let mut script = OPENS[..3].to_vec();
    for _ in 0..9 {
        script.extend([Ask::Units("activating+start"), Ask::Changed(None)]);
    }
    script.extend([Ask::Units("activating+start"), Ask::Kill, Ask::Units("failed")]);
    script.extend([Ask::Units("failed"), Ask::Start(Ok(())), Ask::Units("active")]);
    script.push(Ask::Look(true));
    node.take(1, script).unwrap();
    assert_eq!(node.lease(1), Some(Lease::Open));
}

/// Show that a session that is closing is waited for before it is opened anew.
#[test]
fn a_closing_session_is_waited_for() {
    let node = Node::new();
    let closing = [Ask::Watch, Ask::Units("deactivating"), Ask::Watch];
    let still = [Ask::Units("active+stop"), Ask::Changed(Some(1))];
    let script = closing.into_iter().chain(still).chain(OPENS.into_iter().skip(1));
    node.take(1, script).unwrap();
}

/// Show that what is left of a session before is not in the way: systemd 247 starts no manager where its
/// cgroup has others below it.
#[test]
fn a_cgroup_in_the_way_is_removed() {
    let node = Node::new();
    let cgroup = node.roots.slice(node.uid).join(format!("user@{}.service", node.uid));
    fs::create_dir_all(cgroup.join("app.slice/deep")).unwrap();
    node.take(1, OPENS).unwrap();
    assert!(!cgroup.exists());
}

/// Show that success of systemd's without a live session is no success.
#[test]
fn what_is_not_live_is_not_open() {
    let node = Node::new();
    let mut script = OPENS.to_vec();
    script.pop();
    script.push(Ask::Look(false));
    script.extend(PUTS_BACK);
    let error = node.take(1, script).unwrap_err();
    assert!(matches!(error.problem(), Problem::NotLive(_)), "{error}");
    assert!(!node.lingers());
}

/// Show that what an epilog could not undo stays written down, and that the next
/// job's epilog undoes it, with linger as it was before the first.
#[test]
fn what_could_not_be_undone_is_undone_later() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    node.release(1, [Ask::NoBus]).unwrap_err();
    assert!(node.lingers() && !node.is_clean());
    node.take(2, [Ask::Look(true), Ask::Units("active")]).unwrap();
    node.release(2, CLOSES).unwrap();
    assert!(!node.lingers() && node.is_clean());
}

/// Show that after a power loss, with the leases gone, linger is put back.
#[test]
fn a_power_loss_is_swept_up() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    fs::remove_dir_all(&node.roots.run).unwrap();
    assert_eq!(record::known_uids(&node.roots).unwrap(), [node.uid].into());
    node.sweep(true, PUTS_BACK).unwrap();
    assert!(!node.lingers() && node.is_clean());
}
