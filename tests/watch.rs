//! What runs on a node and what it looks like: questions, and bounded waits.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::postmortem::difference;
use crate::{Node, Output};

/// What a node may take to be as before, when its jobs are over.
const SETTLING: Duration = Duration::from_secs(120);

/// Has a script of root's pause without starting a program, on which an emulated node spends 40 ms.
pub(crate) const PAUSE: &str =
    "pause() { [ -n \"$idle\" ] || exec {idle}<> <(:); read -rt $1 -u $idle || :; }\n";

/// A loop of a script that ends before the script is ended.
pub(crate) const WAIT: &str = "while [ $SECONDS -lt 200 ]; do";

impl Node {
    /// What a job must not change: who lingers, who has a session, our state, the
    /// users' processes, their IPC objects, and what their slices may use.
    pub fn snapshot(self) -> String {
        // `proctrack/linuxproc` finds nothing that was forked away, so Slurm does not end this.
        let lost = if self.slurm() == "20.11" { "podman pause" } else { "none" };
        self.sh(&format!("lost='{lost}'; {NAMES}names{SNAPSHOT}")).ok().stdout
    }

    /// Waits until the node is as in `before`: for Slurm a job is over a moment
    /// before its epilog is through.
    ///
    /// # Panics
    /// When it is not after two minutes.
    pub fn is_again(self, before: &str) {
        let start = Instant::now();
        let names = before.lines().take(PLACES).collect::<Vec<_>>().join("\n");
        self.sh(&format!("{NAMES}{WAIT} [ \"$(names)\" = '{names}' ] && break; pause 0.2; done"));
        let mut now = self.snapshot();
        while now != before && start.elapsed() < SETTLING {
            sleep(Duration::from_millis(500));
            now = self.snapshot();
        }
        let order = "the same lines in another order\n".to_owned();
        let difference = Some(difference(before, &now)).filter(|lines| !lines.is_empty());
        let difference = difference.unwrap_or(order);
        assert!(now == before, "the node is not as it was; gone (-) and new (+):\n{difference}");
    }

    /// Waits until a shell command succeeds.
    pub fn waits_until(self, condition: &str) -> Output {
        self.waits(condition).ok()
    }

    /// The same, and fails not by itself when it does not.
    pub fn waits(self, condition: &str) -> Output {
        self.sh(&format!("{WAIT} {condition} && exit 0; pause 0.2; done; exit 1"))
    }

    /// The process with that command line, whatever the path of its program.
    pub fn pid_of(self, command: &str) -> Option<u32> {
        let script = format!("{} | head --lines=1", pgrep(command));
        self.sh(&script).stdout.trim().parse().ok()
    }

    /// Whether such a process lives.
    pub fn runs(self, command: &str) -> bool {
        self.pid_of(command).is_some()
    }

    /// Waits until none does, and fails with what is left in the users' slices.
    pub fn sees_the_end_of(self, command: &str) {
        let gone = format!("! {} >/dev/null", pgrep(command));
        let left = "systemd-cgls --no-pager /user.slice";
        self.sh(&format!("{WAIT} {gone} && exit 0; pause 0.4; done; {left}; exit 1")).ok();
    }

    /// The kernel's view of a user's slice; nothing if there is no such file.
    pub fn slice(self, uid: u32, file: &str) -> String {
        self.sh(&format!("cat {}/{file}", slice(uid))).stdout.trim().to_owned()
    }

    /// Waits until the kernel's view of a user's slice is that.
    pub fn waits_for_slice(self, uid: u32, file: &str, value: &str) {
        let path = format!("{}/{file}", slice(uid));
        self.sh(&format!(
            "{WAIT} [ \"$(cat {path})\" = '{value}' ] && exit 0; pause 0.2; done; \
             grep . {path}; exit 1"
        ))
        .ok();
    }
}

fn pgrep(command: &str) -> String {
    format!("pgrep --full '^([^ ]*/)?{command}$'")
}

fn slice(uid: u32) -> String {
    format!("/sys/fs/cgroup/user.slice/user-{uid}.slice")
}

/// The names in each place that a job must not change, each place on a line. It starts no program.
const NAMES: &str = "\
    shopt -s nullglob dotglob\n\
    names() { for dir in /var/lib/systemd/linger /run/user /run/spank-linger /var/lib/spank-linger; do\n\
        if cd $dir 2>/dev/null; then echo $dir: *; else echo $dir:; fi; done; cd /; }\n";

/// The lines of `NAMES`.
const PLACES: usize = 4;

/// logind keeps a user 10 s longer than the session, so it is not asked. A user who lingers keeps
/// what their manager started for itself. Podman's lock in /dev/shm is left by a job without a
/// session, too. It is taken hundreds of times in a run: one question to systemd, and no ps. Its
/// lines are sorted: a manager that has been reloaded names a unit's devices the other way round.
const SNAPSHOT: &str = r#"
    systemctl show 'user@*' 'user-runtime-dir@*' user-1001.slice user-1002.slice user-1003.slice user-1004.slice \
        --property=Id,ActiveState,MemoryMax,MemoryHigh,MemorySwapMax,TasksMax,AllowedCPUs,DevicePolicy,DeviceAllow |
        awk -v RS= -F '\n' '/slice/ || /ActiveState=active/ {
            match($0, /Id=[^\n]*/); id = substr($0, RSTART + 3, RLENGTH - 3)
            for (i = 1; i <= NF; i++) if ($i !~ /^ActiveState=/) print id, $i
        }' | sort
    for control in /run/systemd/system.control /etc/systemd/system.control; do
        [ ! -d $control ] || find $control -type f -path '*/user-*' -print -exec grep = {} + | sort
    done
    (cd /sys/fs/cgroup/user.slice &&
        grep -v '^max$' /dev/null user-100[1-4].slice/memory.max user-100[1-4].slice/memory.swap.max) 2>/dev/null
    for process in /proc/[0-9]*; do
        name= user=0
        while read -r key value more; do
            case $key in Name:) name="$value${more:+ $more}";; Uid:) user=${more%%[!0-9]*}; break;; esac
        done 2>/dev/null <$process/status
        ((user >= 1001 && user <= 1004 || user >= 100000 && user < 362144)) || continue
        case $name in "$lost"|systemd|'(sd-pam)'|dbus-daemon|dbus-broker*) ;; *) echo $user $name;; esac
    done | sort
    ls -d /sys/fs/cgroup/system.slice/*slurmstepd.scope/*/step_*/user/session 2>/dev/null
    grep --only-matching ' [^ ]* [^ ]* [^ ]* - tmpfs linger ' /proc/self/mountinfo
    ls -d /run/spank-linger/*.own 2>/dev/null; pgrep --exact linger
    grep --extended-regexp ' 100[1-4] ' /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg
    find /dev/shm -type f -uid +1000 ! -name 'libpod_rootless_lock_*' -printf '%U %f\n' | sort
"#;
