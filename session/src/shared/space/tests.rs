//! What a job in a mount namespace of its own sees, as root makes it.

use super::*;
use crate::outside::apart::is_done_apart;
use std::os::unix::fs::chown;

const USER: u32 = 4711;

/// A node whose user has a runtime directory, and where that is seen as the node has it.
fn node(root: &Path) -> (Roots, PathBuf) {
    let (roots, outside) = (Roots::below(root), root.join("outside"));
    let dir = roots.runtime_dir(USER);
    for dir in [&dir, &outside] {
        fs::create_dir_all(dir).unwrap();
    }
    put_tmpfs(&dir, "mode=0700").unwrap();
    chown(&dir, Some(USER), None).unwrap();
    cover(&dir, &outside).unwrap();
    (roots, outside)
}

fn space(roots: &Roots) -> Space<'_> {
    let job = Job { id: 7, uid: USER };
    Space { roots, job, namespace: "/proc/self/ns/mnt".into(), outside: "/".into() }
}

/// Show that Podman's place for its pause process is the job's own, that what it writes down for all of the user's
/// jobs is the node's, also what is not there yet, and that all of it is the user's.
#[test]
fn only_the_books_are_shared() {
    if is_done_apart("shared::space::tests::only_the_books_are_shared") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (roots, outside) = node(root.path());
    let (space, dir) = (space(&roots), roots.runtime_dir(USER));
    assert!(space.is_due());
    space.make(&dir).unwrap();
    assert!(!space.is_due());
    let [here, node] = [&dir, &outside].map(|dir| dir.join(TMP));
    for book in BOOKS {
        fs::write(node.join(book).join("of-node"), "").unwrap();
        assert!(here.join(book).join("of-node").exists(), "{book}");
    }
    for file in ALIVE {
        fs::write(here.join(file), "").unwrap();
        assert!(node.join(file).exists(), "{file}");
    }
    fs::write(here.join("pause.pid"), "1").unwrap();
    assert!(!node.join("pause.pid").exists());
    space.find_pause(&dir).unwrap();
    fs::write(dir.join(NETWORKS).join("of-job"), "").unwrap();
    assert!(!outside.join(NETWORKS).join("of-job").exists());
    for made in ["libpod", TMP, "libpod/tmp/exits", "containers", NETWORKS] {
        assert_eq!(fs::metadata(dir.join(made)).unwrap().uid(), USER, "{made}");
    }
}

/// Show that what a task did not come to the end of is made anew, and that what the user has made in the place of a
/// directory leads root nowhere.
#[test]
fn what_was_begun_is_made_anew() {
    if is_done_apart("shared::space::tests::what_was_begun_is_made_anew") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (roots, outside) = node(root.path());
    let (space, dir) = (space(&roots), roots.runtime_dir(USER));
    let victim = root.path().join("victim");
    fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, dir.join("libpod")).unwrap();
    space.make(&dir).unwrap_err();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    fs::remove_file(dir.join("libpod")).unwrap();
    fs::create_dir_all(dir.join(TMP)).unwrap();
    put_tmpfs(&dir.join(TMP), OPTIONS).unwrap();
    assert!(space.is_due());
    space.make(&dir).unwrap();
    assert!(!space.is_due());
    fs::write(outside.join("libpod/tmp/exits/a"), "").unwrap();
    assert!(dir.join("libpod/tmp/exits/a").exists());
    let of = |path: &str| fs::read_dir(dir.join(path)).unwrap().count();
    assert_eq!((of("libpod/tmp/exits"), of("libpod/tmp/persist")), (1, 0));
}

/// Show that of a session that the node has no more, the next one's directory is found.
#[test]
fn the_next_session_is_found() {
    if is_done_apart("shared::space::tests::the_next_session_is_found") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (roots, outside) = node(root.path());
    let dir = roots.runtime_dir(USER);
    // The node's root is another here: what is at the same path in it is the next session's.
    let next = root.path().join("next");
    let at = next.join(dir.strip_prefix("/").unwrap());
    fs::create_dir_all(&at).unwrap();
    let space = Space { outside: next, ..space(&roots) };
    cover(&outside, &at).unwrap();
    space.make(&dir).unwrap();
    assert!(!space.is_due());
    put_tmpfs(&at, "mode=0700").unwrap();
    assert!(!space.is_due(), "there is none here as yet");
    assert!(!dir.join("libpod").exists(), "the old one is there still");
    cover(&at, &dir).unwrap();
    chown(&dir, Some(USER), None).unwrap();
    assert!(space.is_due());
}

/// Show that a job that had none of it leaves nothing to end.
#[test]
fn most_jobs_have_none() {
    let root = tempfile::tempdir().unwrap();
    let job = Job { id: 7, uid: USER };
    end_part(&Roots::below(root.path()), job, Duration::ZERO).unwrap();
}
