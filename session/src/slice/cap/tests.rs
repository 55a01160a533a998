//! Caps against a scripted systemd.

use super::*;
use crate::outside::fake::{Ask, Scripted, site, untouched};
use crate::outside::properties::{INFINITY, Properties};
use crate::terms::budget::Budget;
use crate::terms::site::Site;
use std::time::Duration;
use tempfile::TempDir;

const UID: u32 = 4711;

/// A node with a slice that has drop-ins and kernel files.
struct Node {
    _dir: TempDir,
    site: Site,
}

impl Node {
    fn new() -> Self {
        let (dir, site) = site();
        fs::create_dir_all(site.roots.slice(UID)).unwrap();
        Self { _dir: dir, site }
    }

    fn cap(&self, wanted: &Limits, script: impl IntoIterator<Item = Ask>) -> Result<()> {
        let budget = Budget::starting_now(Duration::from_secs(5));
        let state = &crate::record::lock(&self.site.roots, UID, budget).unwrap();
        let systemd = &mut Scripted::new(self.site.roots.linger.clone(), script);
        let on = &mut On { site: &self.site, uid: UID, state, systemd, budget };
        cap(on, wanted.clone(), false)
    }

    /// As systemd does when the property is set, and the kernel after it.
    fn has_drop_in(&self, name: Name) {
        let file = drop_in(&self.site.roots, UID, name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }

    fn kernel_has(&self, file: &str, value: &str) {
        fs::write(self.site.roots.slice(UID).join(file), value).unwrap();
    }

    fn drop_ins(&self) -> usize {
        let dir = self.site.roots.control.join(format!("user-{UID}.slice.d"));
        fs::read_dir(dir).map_or(0, Iterator::count)
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(&self.site.roots.run).unwrap().next().is_none()
    }
}

fn memory(bytes: u64) -> Limits {
    Limits { memory: Some(bytes), ..Limits::default() }
}

fn sets_memory(bytes: u64) -> Ask {
    Ask::SetSlice(vec![Property::Number(Name::MemoryMax, bytes)])
}

/// Show that a cap is set once, follows its jobs, and leaves nothing when it is
/// taken back.
#[test]
fn a_cap_comes_and_goes() {
    let node = Node::new();
    node.cap(&Limits::default(), []).unwrap();
    assert!(node.is_clean());
    node.cap(&memory(1 << 20), [Ask::Slice(untouched()), sets_memory(1 << 20)]).unwrap();
    node.has_drop_in(Name::MemoryMax);
    node.kernel_has("memory.max", "1048576\n");
    node.cap(&memory(1 << 20), []).unwrap();
    node.cap(&memory(3 << 20), [sets_memory(3 << 20)]).unwrap();
    node.cap(&Limits::default(), [sets_memory(INFINITY)]).unwrap();
    assert_eq!(node.drop_ins(), 0);
    assert!(node.is_clean());
}

/// Show that what the kernel does not have any more is set again.
#[test]
fn a_lost_cap_is_set_again() {
    let node = Node::new();
    node.cap(&memory(1 << 20), [Ask::Slice(untouched()), sets_memory(1 << 20)]).unwrap();
    node.kernel_has("memory.max", "max\n");
    node.cap(&memory(1 << 20), [sets_memory(1 << 20)]).unwrap();
}

/// Show that a limit of the admin's is not raised, and comes back with its
/// drop-in.
#[test]
fn an_admins_limit_stays() {
    let node = Node::new();
    let admins = Properties { memory_max: 2 << 20, ..untouched() };
    node.has_drop_in(Name::MemoryMax);
    node.cap(&memory(9 << 20), [Ask::Slice(admins), sets_memory(2 << 20)]).unwrap();
    node.cap(&memory(1 << 20), [sets_memory(1 << 20)]).unwrap();
    node.cap(&Limits::default(), [sets_memory(2 << 20)]).unwrap();
    assert_eq!(node.drop_ins(), 1);
    assert!(node.is_clean());
}

/// Show that a cap that could not be set, or not be taken back, is known to the
/// next call, which takes it back.
#[test]
fn a_broken_call_is_repaired() {
    let node = Node::new();
    node.cap(&memory(1 << 20), [Ask::Slice(untouched()), Ask::NoBus]).unwrap_err();
    assert!(!node.is_clean());
    node.cap(&Limits::default(), [Ask::NoBus]).unwrap_err();
    node.has_drop_in(Name::MemoryMax);
    node.cap(&Limits::default(), [sets_memory(INFINITY)]).unwrap();
    assert!(node.drop_ins() == 0 && node.is_clean());
}

/// Show that one limit can go while another stays.
#[test]
fn limits_go_one_by_one() {
    let node = Node::new();
    let cpus = || "0".parse().ok();
    let both = Limits { cpus: cpus(), ..memory(1 << 20) };
    let set =
        Ask::SetSlice(vec![Property::Number(Name::MemoryMax, 1 << 20), Property::Cpus(vec![1])]);
    node.cap(&both, [Ask::Slice(untouched()), set]).unwrap();
    node.has_drop_in(Name::MemoryMax);
    node.has_drop_in(Name::AllowedCPUs);
    let one = Limits { cpus: cpus(), ..Limits::default() };
    let set =
        Ask::SetSlice(vec![Property::Cpus(vec![1]), Property::Number(Name::MemoryMax, INFINITY)]);
    node.cap(&one, [set]).unwrap();
    assert_eq!(node.drop_ins(), 1);
}

/// Show that an admin's own device rules are left alone.
#[test]
fn device_rules_of_an_admin_stay() {
    let node = Node::new();
    let denied = serde_json::from_str(r#"[{"kind":"char","major":4,"minor":61}]"#).unwrap();
    let wanted = Limits { denied, ..memory(1 << 20) };
    let admins = Properties { device_policy: "closed".into(), ..untouched() };
    node.cap(&wanted, [Ask::Slice(admins), sets_memory(1 << 20)]).unwrap();
}

/// Show that a slice that had no device rules and stays is opened to all devices when its list has been taken
/// back: what systemd has attached last stays. One that is gone has nothing attached, and one that is empty is removed.
#[test]
fn the_last_list_allows_everything() {
    let node = Node::new();
    let usual = || Property::Devices(devices::allow_the_usual());
    let nothing = || Property::Devices(Vec::new());
    let opens = || {
        let all = Ask::SetSlice(vec![Property::Devices(devices::allow_all())]);
        [all, Ask::SetSlice(vec![nothing()])]
    };
    let slice = node.site.roots.slice(UID);
    fs::create_dir(slice.join("user@7.service")).unwrap();
    let floor = Limits { closed: true, ..memory(1 << 20) };
    let caps = Ask::SetSlice(vec![Property::Number(Name::MemoryMax, 1 << 20), usual()]);
    node.cap(&floor, [Ask::Slice(untouched()), caps]).unwrap();
    let caps = Ask::SetSlice(vec![Property::Number(Name::MemoryMax, 1 << 20), nothing()]);
    node.cap(&memory(1 << 20), [caps].into_iter().chain(opens())).unwrap();
    node.cap(&Limits::default(), [sets_memory(INFINITY)]).unwrap();
    assert!(node.is_clean());
    for stays in [true, false] {
        let floor = Limits { closed: true, ..Limits::default() };
        node.cap(&floor, [Ask::Slice(untouched()), Ask::SetSlice(vec![usual()])]).unwrap();
        if !stays {
            fs::remove_dir_all(&slice).unwrap();
        }
        let opens = opens().into_iter().filter(|_| stays);
        let undoes = [Ask::SetSlice(vec![nothing()])].into_iter().chain(opens);
        node.cap(&Limits::default(), undoes).unwrap();
        assert!(node.is_clean());
        assert_eq!(slice.exists(), stays);
    }
    fs::create_dir(&slice).unwrap();
    node.cap(&memory(1 << 20), [Ask::Slice(untouched()), sets_memory(1 << 20)]).unwrap();
    node.cap(&Limits::default(), [sets_memory(INFINITY)]).unwrap();
    assert!(!slice.exists());
}
