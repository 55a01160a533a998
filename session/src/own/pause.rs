//! Podman's pause process, of each job its own.
//!
//! It holds the namespaces that all containers of a user are in. A Podman that finds none joins those of any container
//! that runs, by the books (4.3 to 5.8, SetupRootless()): with the containers of another job it would be in that one's
//! view, and ask that one's manager. So each session has one before its first task.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::kind::Launch;
use crate::own::manager::Becoming;
use crate::record::own::Started;
use crate::terms::error::Result;
use crate::terms::roots::Roots;

/// As Podman makes it (reexec_in_user_namespace(), create_pause_process()), also for who has no more ids than their
/// own, but within the time that the manager takes to start: Podman needs many times that of it. `getsubids` asks the
/// name service (shadow 4.9), and is not everywhere. Where this fails Podman fails as well.
pub(crate) const QUICKLY: &str = r#"cd "$XDG_RUNTIME_DIR/libpod/tmp" || exit
map() {
    ranges=$(getsubids $3 "$USER")
    [ "$ranges" ] || ranges=$(sed -nE "s/^($USER|$uid):(.*):/- - \2 /p" "/etc/sub$1")
    if [ -z "$ranges" ]; then
        [ "$1" = uid ] || echo deny >/proc/$pid/setgroups
        echo "0 $2 1" >"/proc/$pid/$1_map"
        return
    fi
    set -- "new$1map" "$pid" 0 "$2" 1
    next=1
    while read -r _ _ start count; do
        set -- "$@" "$next" "$start" "$count"
        next=$((next + count))
    done <<END
$ranges
END
    "$@"
}
uid=$1 gid=$2
(unshare --user --mount --propagation=unchanged sh -c 'echo $$; exec sleep infinity >/dev/null' &) | {
    read -r pid && map uid "$uid" && map gid "$gid" -g && printf %s "$pid" >pause.pid || kill "$pid"
}"#;

/// In a session that jobs share. Its books are its own, and the lock on their first use that of all others: Podman makes
/// the memory of all locks without another (4.3 to 5.8, getLockManager()), and who finds it half made takes a lock that
/// somebody has. It has its manager take the process. Podman up to 4 has its pause process where it has other temporary
/// files, later ones in one place for all.
pub(crate) const BY_PODMAN: &str = r#"cd "$XDG_RUNTIME_DIR/libpod" || exit
mkdir -p first/tmp && ln -sf ../../tmp/alive.lck first/tmp/
podman --storage-driver=vfs --events-backend=none --root=$PWD/first/root --runroot=$PWD/first/run \
    --tmpdir=$PWD/first/tmp unshare true
[ -e tmp/pause.pid ] || ln -s ../first/tmp/pause.pid tmp/pause.pid"#;

/// Its cgroup, in the session's.
pub(crate) const PAUSE: &str = "pause";

const SHELL: &str = "/bin/sh";

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether there is a Podman to make one.
pub(crate) fn is_needed(roots: &Roots) -> bool {
    roots.usr.join("bin/podman").exists()
}

/// Begins to make it in that cgroup of a job's own session, where it stays. The job's view is there.
///
/// # Errors
/// That it could not be started.
pub(crate) fn begin(
    becoming: &Becoming<'_>,
    cgroup: &Path,
    launch: &dyn Launch,
    until: Instant,
) -> Result<Option<Started>, String> {
    start(becoming, cgroup, QUICKLY, launch, until)
}

/// Makes it by one of these in that cgroup: there it stays, unless Podman has made it.
///
/// # Errors
/// That it could not be started, or was not done until then.
pub(crate) fn make(
    becoming: &Becoming<'_>,
    cgroup: &Path,
    script: &str,
    launch: &dyn Launch,
    until: Instant,
) -> Result<(), String> {
    let maker = start(becoming, cgroup, script, launch, until)?;
    wait(maker, &becoming.roots.proc, until)
}

fn start(
    becoming: &Becoming<'_>,
    cgroup: &Path,
    script: &str,
    launch: &dyn Launch,
    until: Instant,
) -> Result<Option<Started>, String> {
    let User { uid, gid, .. } = becoming.user;
    let arguments = ["-c".into(), script.into(), SHELL.into(), uid.to_string(), gid.to_string()];
    let pid = launch.detached(until, &|_| match becoming.program(cgroup, SHELL, &arguments) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    })?;
    Ok(Started::of(pid, &becoming.roots.proc))
}

/// Until who makes it has ended.
///
/// # Errors
/// That they had not until then.
pub(crate) fn wait(maker: Option<Started>, proc: &Path, until: Instant) -> Result<(), String> {
    while maker.is_some_and(|maker| maker.lives(proc)) {
        if Instant::now() >= until {
            return Err("it is not done".into());
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}
