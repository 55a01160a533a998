//! Lists of thousands of steps.

use std::fs;
use std::path::PathBuf;
use std::thread;

use super::*;
use crate::outside::crash::killed_at;
use crate::outside::fake::place;
use crate::outside::proc::show_this_process;
use crate::record::keepers::{Keeper, has_step, is_apart, is_over, may_work, needed_of};
use crate::record::{self, Lease, Locked, Marked};
use crate::terms::job::Role;
use crate::terms::roots::Roots;
use crate::terms::set::Set;

/// More than a list with a few living steps ever has.
const SMALL: u64 = 12 << 10;

/// A node with a lease of job 1, and a /proc that shows this process.
fn node() -> (tempfile::TempDir, Roots, Locked) {
    let (dir, roots) = place();
    show_this_process(&roots.proc);
    fs::write(proc_of(&roots, std::process::id()).join("sessionid"), "4294967295").unwrap();
    let state = record::try_lock(&roots, 7).unwrap().unwrap();
    state.put(1, &Lease::Open, crate::terms::site::SessionKind::Shared).unwrap();
    (dir, roots, state)
}

fn proc_of(roots: &Roots, pid: u32) -> PathBuf {
    roots.proc.join(pid.to_string())
}

/// Has a process begin, the `number`th on the node: that is its start and its audit
/// id. One that had its pid is over.
fn begin(roots: &Roots, pid: u32, number: u32) {
    let dir = proc_of(roots, pid);
    fs::create_dir_all(&dir).unwrap();
    let stat = format!("{pid} (a) S 1 1 1 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 {number} 1");
    for (file, text) in [("stat", stat), ("sessionid", number.to_string())] {
        // Not truncated: on ext4 each time would be written to disk.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(file));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

fn text<T: ToString>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

fn note(state: &Locked, keeper: &str) {
    state.add_keeper(1, &keeper.parse().unwrap()).unwrap();
}

/// Show that 10,000 steps of a job, 20 at a time, leave short lists at any time, and
/// that all that lives is in there: the latest steps, and one that lasts.
#[test]
fn thousands_of_steps_leave_short_lists() {
    const LASTS: u32 = 100_100;
    let (_dir, roots, state) = node();
    let marked = [Marked::Job(1), Marked::Ended];
    let [job, ended] = marked.map(|of| state.audit_path(of));
    let paths = [job, ended, state.keepers_path(1)];
    note(&state, "extern 9 5");
    for step in 100_000..110_000 {
        let pid = if step == LASTS { 2_000 } else { step % 20 + 1_000 };
        begin(&roots, pid, step);
        note(&state, &format!("step {pid} {step}"));
        for of in marked {
            state.add_audit_id(of, step).unwrap();
        }
        assert!(paths.iter().all(|path| size(path) < SMALL), "{step}");
    }
    let alive: Vec<_> = [LASTS].into_iter().chain(109_980..110_000).collect();
    for of in marked {
        let ids = state.audit_ids(of).unwrap();
        assert!(alive.iter().all(|id| ids.contains(id)), "{ids:?}");
    }
    let keepers = state.keepers(1).unwrap();
    let living = keepers.iter().filter(|keeper| keeper.lives(&roots.proc)).count();
    assert_eq!(living, alive.len());
    assert!(keepers.first().is_some_and(|keeper| keeper.role == Role::Extern), "{keepers:?}");
}

/// Show that what came from a version that wrote all down is short after the next
/// step, and that an ended job's ids come at once.
#[test]
fn a_long_list_is_short_after_the_next_step() {
    let (_dir, roots, state) = node();
    let dead = text((1..10_000).map(|pid| format!("step {pid} 7")));
    fs::write(state.keepers_path(1), format!("extern 9 5\n{dead}epilog 8 5\n")).unwrap();
    begin(&roots, 77, 10_001);
    note(&state, "step 77 10001");
    let all = fs::read_to_string(state.keepers_path(1)).unwrap();
    assert_eq!(all, "needed 36\nextern 9 5\nepilog 8 5\nstep 77 10001\n");
    let ids: Vec<_> = (1..=10_001).collect();
    state.add_audit_ids(Marked::Ended, &ids).unwrap();
    let all = fs::read_to_string(state.audit_path(Marked::Ended)).unwrap();
    assert_eq!(all, "needed 6\n10001\n");
}

/// Show that a job is over, or not, as it was before keepers were left out.
#[test]
fn what_is_left_out_tells_nothing() {
    let (_dir, roots, _state) = node();
    begin(&roots, 77, 5);
    let lines = ["extern 77 5", "extern 2 5", "extern 2 5 7", "epilog 2 5"];
    let steps = ["step 77 5", "step 77 4", "step 2 5", "step 2 5 7"];
    let lines: Vec<_> = steps.into_iter().chain(lines).collect();
    for some in 0_u32..1 << lines.len() {
        let is_in = |(number, _): &(usize, _)| some >> number & 1 == 1;
        let list = text(lines.iter().enumerate().filter(is_in).map(|(_, line)| line));
        let told = |list: &str| {
            let keepers: Vec<Keeper> = list.lines().map(|line| line.parse().unwrap()).collect();
            let over = [false, true].map(|starts| is_over(&keepers, starts, &roots.proc));
            let [at_work, in_step] =
                [may_work(&keepers, &roots.proc), has_step(&keepers, &roots.proc)];
            (over, at_work, in_step, is_apart(&keepers, &roots.proc))
        };
        let needed = needed_of(&list, &roots.proc).unwrap();
        assert_eq!(told(&needed), told(&list), "{list}");
    }
}

/// Show that where /proc does not tell, all stays: where it is that of another pid
/// namespace, and where one process does not answer. Nobody asks again for each
/// step then.
#[test]
fn what_cannot_be_told_stays() {
    let (_dir, roots, state) = node();
    let ids: Vec<_> = (1..=2_000).collect();
    let odd = proc_of(&roots, 77).join("sessionid");
    fs::create_dir_all(&odd).unwrap();
    state.add_audit_ids(Marked::Ended, &ids).unwrap();
    assert_eq!(&*state.audit_ids(Marked::Ended).unwrap(), ids);
    fs::remove_dir(&odd).unwrap();
    state.add_audit_id(Marked::Ended, 2_001).unwrap();
    assert_eq!(state.audit_ids(Marked::Ended).unwrap().len(), 2_001);
    state.add_audit_ids(Marked::Ended, &ids).unwrap();
    assert!(state.audit_ids(Marked::Ended).unwrap().is_empty());

    fs::remove_file(roots.proc.join("self")).unwrap();
    state.add_audit_ids(Marked::Job(1), &ids).unwrap();
    assert_eq!(&*state.audit_ids(Marked::Job(1)).unwrap(), ids);
    let steps = text((1..=2_000).map(|pid| format!("step {pid} 7")));
    fs::write(state.keepers_path(1), steps).unwrap();
    note(&state, "step 9 5");
    assert_eq!(state.keepers(1).unwrap().len(), 2_001);
}

const EVEN: Needed<'static> = &|list| Some(even(list));

/// Keeps what ends in an even digit.
fn even(list: &str) -> String {
    let is_even = |line: &&str| line.trim_end().ends_with(['0', '2', '4', '6', '8']);
    list.split_inclusive('\n').filter(is_even).collect()
}

fn even_lines(path: &Path) -> Vec<u32> {
    let lines = even(&fs::read_to_string(path).unwrap());
    lines.lines().filter_map(decimal).collect()
}

/// Show that many who add at the same time lose no line that is needed, while each
/// of them leaves out others.
#[test]
fn no_line_is_lost_among_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let lines: Vec<u32> = (100_000..106_000).collect();
    thread::scope(|scope| {
        for part in lines.chunks(1_000) {
            let add = |line: &u32| add(&path, &format!("{line}\n"), EVEN).unwrap();
            scope.spawn(move || part.iter().for_each(add));
        }
    });
    let expected: Set<u32> = lines.into_iter().filter(|line| line % 2 == 0).collect();
    let found = even_lines(&path);
    assert_eq!(found.len(), expected.len());
    assert_eq!(Set::from(found), expected);
    assert!(fs::read_to_string(&path).unwrap().starts_with(HEADER));
}

/// Show that a crash leaves the list as it was or as it is to be, and that nothing
/// of it is in the way of the next.
#[test]
fn a_crash_leaves_the_old_or_the_new_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let old = text(10_000..11_000);
    let with_line = format!("{old}7000\n");
    let new = even(&with_line);
    let new = format!("{HEADER}{}\n{new}", new.len());
    let mut seen = Vec::new();
    for point in 0.. {
        fs::write(&path, &old).unwrap();
        let done = killed_at(point, || add(&path, "7000\n", EVEN));
        let found = fs::read_to_string(&path).unwrap();
        seen.push([&old, &with_line, &new].iter().position(|text| **text == found).unwrap());
        add(&path, "7002\n", EVEN).unwrap();
        assert_eq!(even_lines(&path).last(), Some(&7_002));
        if let Some(done) = done {
            done.unwrap();
            break;
        }
    }
    assert_eq!(seen, [0, 1, 1, 2]);
}

/// Show that a line is noted where whoever has the lock hangs, and that a line that
/// came without the lock, as a version before this one adds it, stays.
#[test]
fn a_line_without_the_lock_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let without_lock = |list: &str| {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"8\n").unwrap();
        Some(even(list))
    };
    let lines = "1\n".repeat(3_000);
    add(&path, &lines, &without_lock).unwrap();
    assert_eq!(even_lines(&path), [8]);
    let hangs = File::open(&path).unwrap();
    hangs.try_lock().unwrap();
    add(&path, "6\n", EVEN).unwrap();
    assert_eq!(even_lines(&path), [8, 6]);
    drop(hangs);
    add(&path, "4\n", EVEN).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "needed 6\n8\n6\n4\n");
}

/// Show that a list that is too long to be read is an error, and not a shorter one.
#[test]
fn what_is_too_long_is_an_error() {
    let (_dir, _roots, state) = node();
    let path = state.audit_path(Marked::Ended);
    fs::write(&path, "7\n").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(16 << 20).unwrap();
    assert_eq!(state.audit_ids(Marked::Ended).unwrap(), [7].into());
    file.set_len((16 << 20) + 1).unwrap();
    let error = state.audit_ids(Marked::Ended).unwrap_err().to_string();
    assert!(error.ends_with("/7/ended.audit: more than 16 MiB"), "{error}");
}
