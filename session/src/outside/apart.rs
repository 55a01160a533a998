//! Tests in processes of their own: as root, with real mounts and users; or alone.

use nix::unistd::Uid;

/// By root or sudo, in a process with a mount namespace of its own: that of one thread is not what /proc/self tells of.
const APART: &str = "LINGER_APART";

/// Whether the test of that whole name has been done so, and passed.
pub(crate) fn is_done_apart(name: &str) -> bool {
    if std::env::var_os(APART).is_some() {
        return false;
    }
    let unshare = "timeout 300 unshare --mount --propagation=private env RUST_BACKTRACE=0";
    let become_root = if Uid::effective().is_root() { "" } else { "sudo --non-interactive " };
    let line = format!("{become_root}{unshare} {APART}=1 $0 --exact --nocapture {name}");
    let this = std::env::current_exe().unwrap();
    let ended = std::process::Command::new("sh").args(["-c", &line]).arg(this).status().unwrap();
    assert!(ended.success(), "{line}: {ended}");
    true
}

/// In a process that no other test is in.
const ALONE: &str = "LINGER_ALONE";

/// Whether the test of that whole name has been done so, and passed. What another test forks has the descriptors of this
/// one until it is another program, and with them the locks that this one takes for free.
pub(crate) fn is_done_alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let ended = alone.args(["--exact", "--nocapture", name]).env(ALONE, "1").status().unwrap();
    assert!(ended.success(), "{name}: {ended}");
    true
}
