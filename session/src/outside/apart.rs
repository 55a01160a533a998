//! Tests that are root, with real mounts and users.

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
