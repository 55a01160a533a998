//! Podman's pause process, of each job its own.
//!
//! It holds the namespaces that all containers of a user are in. A Podman that finds none joins those of any container
//! that runs, by the books (4.3 to 5.8, SetupRootless()): with the containers of another job it would be in that one's
//! view, and ask that one's manager. So where a user has several such jobs, each has a pause process before the second
//! one's first command, made with no look at any books.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::kind::Launch;
use crate::own::manager::Becoming;
use crate::record::own::Started;
use crate::terms::error::Result;
use crate::terms::roots::Roots;

/// As Podman makes it (reexec_in_user_namespace(), create_pause_process()), for a hundredth of what it takes Podman to
/// begin: of twenty jobs at once each makes one. `getsubids` asks the name service (shadow 4.9), and is not everywhere.
pub(crate) const QUICKLY: &str = r#"cd "$XDG_RUNTIME_DIR/libpod/tmp" || exit
kill -0 "$(cat pause.pid)" && exit
map() {
    ranges=$(getsubids $3 "$USER" | cut -d' ' -f3-)
    [ "$ranges" ] || ranges=$(sed -n "s/^$USER:\(.*\):/\1 /p" "$2")
    [ "$ranges" ] || return
    set -- "$1" "$pid" 0 "$4" 1
    next=1
    while read -r start count; do
        set -- "$@" "$next" "$start" "$count"
        next=$((next + count))
    done <<END
$ranges
END
    "$@"
}
space() { readlink "/proc/$1/ns/user"; }
unshare --user --mount --propagation=unchanged sleep infinity &
pid=$!
looks=0
while [ "$(space $pid)" = "$(space self)" ] && [ $((looks += 1)) -lt 300 ]; do sleep 0.01; done
map newuidmap /etc/subuid '' "$(id -u)" && map newgidmap /etc/subgid -g "$(id -g)" &&
    printf %s $pid >first.pid && ln first.pid pause.pid && exit
kill $pid
"#;

/// Its books are its own then, and the lock on their first use that of all others: Podman makes the memory of all locks
/// without another (4.3 to 5.8, getLockManager()), and who finds it half made takes a lock that somebody has. It has its
/// manager take the process. Podman up to 4 has its pause process where it has other temporary files, later ones in one
/// place for all.
pub(crate) const BY_PODMAN: &str = r#"cd "$XDG_RUNTIME_DIR/libpod" || exit
mkdir -p first/tmp && ln -sf ../../tmp/alive.lck first/tmp/
podman --storage-driver=vfs --events-backend=none --root=$PWD/first/root --runroot=$PWD/first/run \
    --tmpdir=$PWD/first/tmp unshare true
[ -e tmp/pause.pid ] || ln -s ../first/tmp/pause.pid tmp/pause.pid"#;

const SHELL: &str = "/bin/sh";

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether there is a Podman to make one.
pub(crate) fn is_needed(roots: &Roots) -> bool {
    roots.usr.join("bin/podman").exists()
}

/// Makes it by one of these, or by the first that can, begun in that cgroup: there it stays, unless Podman has made it.
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
    let arguments = ["-c".into(), script.to_owned()];
    let pid = launch.detached(until, &|_| match becoming.program(cgroup, SHELL, &arguments) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    })?;
    let Some(podman) = Started::of(pid, &becoming.roots.proc) else { return Ok(()) };
    while podman.lives(&becoming.roots.proc) {
        if Instant::now() >= until {
            return Err("Podman is not done".into());
        }
        sleep(LOOK_AGAIN);
    }
    Ok(())
}
