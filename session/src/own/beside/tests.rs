//! The user at work in their runtime directory while root is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostile_input::Random;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{Gid, mkfifo, setfsgid, setfsuid};
use tempfile::TempDir;

use super::*;
use crate::outside::apart::is_done_apart;
use crate::outside::mounts::put_tmpfs;

mod still;

const USER: u32 = 1001;

/// All of them in an optimised build: cargo xtask test has one for hostile input.
const ROUNDS: u64 = if cfg!(debug_assertions) { 500 } else { 10_000 };

/// What a user can put in each other's place.
const NAMES: [&str; 10] = [
    "containers",
    "crun",
    "runc",
    "libpod",
    "libpod/tmp",
    "libpod/tmp/exits",
    "libpod/tmp/persist",
    "libpod/tmp/linger",
    "libpod/tmp/linger/alive",
    "libpod/tmp/alive",
];

/// A tree with a runtime directory in it, and one of root's that nothing may change.
struct Node {
    root: PathBuf,
    roots: Roots,
    books: Books,
}

impl Node {
    fn below(root: &Path) -> Self {
        let roots = Roots::below(root);
        for dir in [roots.run.parent().unwrap(), &roots.runtime] {
            fs::create_dir_all(dir).unwrap();
        }
        let victim = root.join("victim");
        fs::create_dir(&victim).unwrap();
        fs::create_dir(victim.join("dir")).unwrap();
        fs::write(victim.join("file"), "root's").unwrap();
        fs::set_permissions(victim.join("dir"), fs::Permissions::from_mode(0o755)).unwrap();
        let books = Books::of(&roots, USER);
        books.begin(&roots).unwrap();
        books.make(USER).unwrap();
        books.finish().unwrap();
        Self { root: root.to_path_buf(), roots, books }
    }

    fn dir(&self) -> PathBuf {
        self.roots.runtime_dir(USER)
    }

    /// Owners, modes, contents, and what is mounted where it may not be.
    fn victim(&self) -> Vec<String> {
        let about = |path: PathBuf| {
            let found = fs::symlink_metadata(&path).unwrap();
            format!("{path:?} {} {:o} {}", found.uid(), found.mode(), found.ino())
        };
        let victim = self.root.join("victim");
        let mut all: Vec<_> = ["", "dir", "file"].map(|name| about(victim.join(name))).to_vec();
        all.extend(
            fs::read_dir(victim.join("dir")).unwrap().map(|entry| about(entry.unwrap().path())),
        );
        all.extend(fs::read_dir(&victim).unwrap().map(|entry| about(entry.unwrap().path())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        all.extend(points.filter(|point| Path::new(point).starts_with(&victim)).map(str::to_owned));
        all
    }

    /// A runtime directory as systemd makes one.
    fn logs_in(&self) {
        let dir = self.dir();
        let _ = fs::create_dir(&dir);
        put_tmpfs(&dir, &format!("mode=0700,uid={USER},gid={USER}")).unwrap();
    }

    fn logs_out(&self) {
        let dir = self.dir();
        while umount2(&dir, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
        for (name, _) in BOOKS_AT {
            while umount2(&self.books.book(name), MntFlags::MNT_DETACH).is_ok() {}
        }
    }

    /// One act of the user's, by names: the kernel lets them do no more than a process of theirs may.
    fn act(&self, random: &mut Random) {
        let (dir, victim) = (self.dir(), self.root.join("victim"));
        let name = |random: &mut Random| dir.join(random.one_of(&NAMES));
        let (one, other) = (name(random), name(random));
        let target = random.one_of(&["", "dir", "file"]);
        match random.below(7) {
            0 => drop(fs::rename(&one, &other)),
            1 => drop(fs::rename(&one, dir.join("aside"))),
            2 => drop(fs::rename(dir.join("aside"), &one)),
            3 => {
                let _ = fs::rename(&one, dir.join(format!("old{}", random.below(50))));
                let _ = symlink(victim.join(target), &one);
            }
            4 => drop(fs::remove_file(&one)),
            5 => drop(mkfifo(&dir.join("libpod/tmp/linger/alive"), Mode::S_IRWXU)),
            _ => drop(fs::create_dir(&one)),
        }
    }
}

/// Below a directory that its user can pass.
fn node() -> (TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node::below(&dir.path().canonicalize().unwrap());
    (dir, node)
}

/// Ends the opponent, also where a check fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Show that whatever a user renames, links and mounts over in their runtime directory while root brings Podman's
/// books together, at each moment between two of root's steps, nothing outside of it changes.
#[test]
fn a_hostile_user_leads_root_nowhere() {
    if is_done_apart("own::beside::tests::a_hostile_user_leads_root_nowhere") {
        return;
    }
    let (_dir, node) = node();
    chown(node.root.join("victim/file"), Some(0), Some(0)).unwrap();
    let before = node.victim();
    let (is_over, began) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (node, is_over) = (&node, &is_over);
            scope.spawn(move || {
                setfsgid(Gid::from_raw(USER));
                setfsuid(Uid::from_raw(USER));
                let mut random = Random::new(seed);
                while !is_over.load(Ordering::Relaxed) {
                    node.act(&mut random);
                    // Sometimes in a hurry, and sometimes so that root comes far.
                    let idle = random.below(2) * random.below(400);
                    std::thread::sleep(Duration::from_micros(idle));
                }
            });
        }
        let _end = Ends(&is_over);
        let mut random = Random::new(7);
        let mut done = 0;
        for round in 0..ROUNDS {
            node.logs_in();
            crash::pauses(Some(Duration::from_micros(random.below(40))));
            let first = if round % 2 == 0 { First::RuntimeDirectory } else { First::Books };
            done += u64::from(join(&node.roots, USER, &node.books, first).is_ok());
            crash::pauses(None);
            if round % 100 == 0 || round + 1 == ROUNDS {
                assert_eq!(node.victim(), before, "round {round}");
            }
            node.logs_out();
        }
        println!("{done} of {ROUNDS} rounds went to their end in {:.0?}", began.elapsed());
        assert!(done > 0 && done < ROUNDS, "the user was in nobody's way, or always: {done}");
    });
    assert_eq!(node.victim(), before);
}
