//! Root at work alone, with what the user or a process of root's that was killed has left.

use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;

use super::*;
use crate::kind::{Kind, On};
use crate::outside::fake::{Scripted, site};
use crate::own::kind::Own;
use crate::record::lock;
use crate::terms::budget::Budget;
use crate::terms::job::Job;
use crate::terms::site::Site;

/// For what takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// In a thread of its own, which may wait for ever.
fn joined(node: &Node, first: First) -> io::Result<()> {
    let (roots, books) = (node.roots.clone(), Books::of(&node.roots, USER));
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(join(&roots, USER, &books, first)));
    receiver.recv_timeout(DEADLINE).expect("root waits for the user")
}

/// What the prolog does for the first job, and for one after it.
fn begins(node: &Node, job: u32) -> crate::terms::error::Result<()> {
    let (_dir, site) = site();
    let site = &Site { roots: node.roots.clone(), ..site };
    let namespace = site.roots.proc.join("self/ns");
    for dir in [&namespace, site.roots.lib.parent().unwrap()] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(namespace.join("mnt"), "").unwrap();
    let budget = Budget::starting_now(site.timeout);
    let state = &lock(&site.roots, USER, budget).unwrap();
    let systemd = &mut Scripted::new(site.roots.linger.clone(), []);
    Own.begin(
        &mut On { site, uid: USER, state, systemd, budget },
        Job { id: job, uid: USER },
        false,
        true,
    )
}

/// As in a node's mount namespace: systemd has all of it shared.
fn logged_in() -> (TempDir, Node) {
    let (dir, node) = node();
    node.logs_in();
    mount(Path::new(""), &node.dir(), "", MsFlags::MS_SHARED, "").unwrap();
    (dir, node)
}

fn device(dir: &Path) -> u64 {
    fs::symlink_metadata(dir).unwrap().dev()
}

impl Node {
    fn are_joined(&self) -> bool {
        let is_joined =
            |(name, path)| device(&self.books.book(name)) == device(&self.dir().join(path));
        BOOKS_AT.into_iter().all(is_joined)
    }

    /// How many mounts there are below the runtime directory.
    fn covers(&self) -> usize {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let is_below = |point: &&str| Path::new(point).starts_with(self.dir());
        points.filter(is_below).count() - 1
    }

    /// Of a user whose first and last job with a session of its own this is.
    fn comes_and_goes(&self, first: First) {
        self.books.begin(&self.roots).unwrap();
        self.books.make(USER).unwrap();
        self.books.finish().unwrap();
        joined(self, first).unwrap();
        assert!(self.are_joined());
        self.books.remove().unwrap();
    }
}

/// The first job fails, as something of the user's is in the way. It is gone after that, and something else runs.
fn begins_in_vain(node: &Node) -> PathBuf {
    node.books.remove().unwrap();
    node.logs_in();
    let in_the_way = node.dir().join("containers");
    fs::write(&in_the_way, "").unwrap();
    begins(node, 1).unwrap_err();
    fs::remove_file(&in_the_way).unwrap();
    let runs = node.dir().join("crun/running");
    fs::create_dir_all(runs.parent().unwrap()).unwrap();
    fs::write(&runs, "").unwrap();
    runs
}

/// Show that books which could not be brought together are so by the next job.
#[test]
fn what_failed_is_done_by_the_next_job() {
    if is_done_apart("own::beside::tests::still::what_failed_is_done_by_the_next_job") {
        return;
    }
    let (_dir, node) = node();
    begins_in_vain(&node);
    begins(&node, 2).unwrap();
    assert!(node.are_joined());
    assert!(node.books.book("crun").join("running").exists());
    node.logs_out();
}

/// Show that until then a job of the other kind does not have what runs covered by books that are empty.
#[test]
fn empty_books_cover_nothing() {
    if is_done_apart("own::beside::tests::still::empty_books_cover_nothing") {
        return;
    }
    let (_dir, node) = node();
    let runs = begins_in_vain(&node);
    joined(&node, First::Books).unwrap();
    assert!(runs.exists());
    node.logs_out();
}

/// Show that a runtime directory that stays has each book covered once, however many jobs come and go, and whichever
/// was there first.
#[test]
fn covers_do_not_pile_up() {
    if is_done_apart("own::beside::tests::still::covers_do_not_pile_up") {
        return;
    }
    let (_dir, node) = logged_in();
    for first in [First::RuntimeDirectory, First::Books].repeat(3) {
        for _ in 0..3 {
            node.comes_and_goes(first);
            assert_eq!(node.covers(), BOOKS_AT.len(), "{first:?}");
        }
    }
    node.logs_out();
}

/// Show that what the user mounts in their runtime directory is there alone, and not in the books, where root works.
#[test]
fn what_is_mounted_is_not_in_the_books() {
    if is_done_apart("own::beside::tests::still::what_is_mounted_is_not_in_the_books") {
        return;
    }
    let (_dir, node) = logged_in();
    joined(&node, First::RuntimeDirectory).unwrap();
    let (there, book) = (node.dir().join("containers"), node.books.book("containers"));
    fs::create_dir(there.join("networks")).unwrap();
    put_tmpfs(&there.join("networks"), "").unwrap();
    put_tmpfs(&there, "").unwrap();
    for dir in [&book, &book.join("networks")] {
        assert_eq!(device(dir), device(&node.dir()), "{dir:?}");
    }
    node.logs_out();
}

/// A file system of the user's whose daemon never answers, as long as it is held; without FUSE one that is not ours.
fn mount_silent(at: &Path) -> Option<File> {
    let daemon = File::options().read(true).write(true).open("/dev/fuse").ok();
    let fuse = daemon.filter(|daemon| {
        let daemon = daemon.as_raw_fd();
        let who = format!("rootmode=40000,user_id={USER},group_id={USER},allow_other");
        mount(Path::new("s"), at, "fuse.silent", MsFlags::empty(), &format!("fd={daemon},{who}"))
            .is_ok()
    });
    if fuse.is_none() {
        mount(Path::new("s"), at, "ramfs", MsFlags::empty(), "").unwrap();
    }
    fuse
}

/// Show that root asks nothing of a file system that the user has mounted anywhere in their runtime directory, or over
/// it, and says where it is.
#[test]
fn a_silent_file_system_holds_nobody() {
    if is_done_apart("own::beside::tests::still::a_silent_file_system_holds_nobody") {
        return;
    }
    let (_dir, node) = node();
    let places = BOOKS_AT.map(|(_, path)| path);
    for path in places.iter().chain(&["libpod", "libpod/tmp"]) {
        for first in [First::RuntimeDirectory, First::Books] {
            node.logs_in();
            let at = node.dir().join(path);
            fs::create_dir_all(&at).unwrap();
            let _daemon = mount_silent(&at);
            let error = joined(&node, first).unwrap_err().to_string();
            let names = format!("{} is covered by a file system of type ", at.display());
            assert!(error.starts_with(&names), "{first:?}: {error}");
            node.logs_out();
        }
    }
    node.logs_in();
    let _daemon = mount_silent(&node.dir());
    joined(&node, First::RuntimeDirectory).unwrap();
    node.logs_out();
}

/// Show that a prolog that was killed anywhere leaves nothing that the next one does not do.
#[test]
fn a_killed_prolog_is_made_up_for() {
    if is_done_apart("own::beside::tests::still::a_killed_prolog_is_made_up_for") {
        return;
    }
    let (_dir, node) = logged_in();
    for points in 0.. {
        let join = || join(&node.roots, USER, &node.books, First::RuntimeDirectory).unwrap();
        let done = crash::killed_at(points, join);
        joined(&node, First::RuntimeDirectory).unwrap();
        assert!(node.are_joined(), "{points}");
        assert_eq!(node.covers(), BOOKS_AT.len(), "{points}");
        node.logs_out();
        if done.is_some() {
            return;
        }
        node.logs_in();
        mount(Path::new(""), &node.dir(), "", MsFlags::MS_SHARED, "").unwrap();
    }
}

/// Show that root does not wait at a pipe that lies where a file of Podman's is.
#[test]
fn a_pipe_holds_nobody() {
    if is_done_apart("own::beside::tests::still::a_pipe_holds_nobody") {
        return;
    }
    let (_dir, node) = node();
    node.logs_in();
    joined(&node, First::RuntimeDirectory).unwrap();
    let alive = node.dir().join("libpod/tmp/linger");
    for name in ALIVE {
        let _ = fs::remove_file(alive.join(name));
        mkfifo(&alive.join(name), Mode::S_IRWXU).unwrap();
    }
    joined(&node, First::RuntimeDirectory).unwrap();
    node.logs_out();
}

/// Show that of a job whose view two processes have made at once nothing stays pinned.
#[test]
fn a_job_that_was_pinned_twice_leaves_nothing() {
    if is_done_apart("own::beside::tests::still::a_job_that_was_pinned_twice_leaves_nothing") {
        return;
    }
    let (_dir, node) = node();
    let pin = node.books.pin(7);
    fs::write(&pin, "").unwrap();
    for _ in 0..2 {
        cover(Path::new("/proc/self/status"), &pin).unwrap();
    }
    node.books.unpin(7);
    assert!(!pin.exists());
}
