//! What runs on a node and what it looks like: questions, and bounded waits.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Node, Output};

/// What a node may take to be as before, when its jobs are over.
const SETTLING: Duration = Duration::from_secs(120);

/// A loop of a script that ends before the script is ended.
pub(crate) const WAIT: &str = "while [ $SECONDS -lt 200 ]; do";

impl Node {
    /// What a job must not change: who lingers, who has a session, our state, the
    /// users' processes, their IPC objects, and what their slices may use.
    pub fn snapshot(self) -> String {
        // `proctrack/linuxproc` finds nothing that was forked away, so Slurm does not end this.
        let lost = if self.slurm() == "20.11" { "podman pause" } else { "" };
        self.sh(&format!("lost='{lost}'{SNAPSHOT}")).ok().stdout
    }

    /// Waits until the node is as in `before`: for Slurm a job is over a moment
    /// before its epilog is through.
    ///
    /// # Panics
    /// When it is not after two minutes.
    pub fn is_again(self, before: &str) {
        let start = Instant::now();
        let mut now = self.snapshot();
        while now != before && start.elapsed() < SETTLING {
            sleep(Duration::from_millis(500));
            now = self.snapshot();
        }
        assert_eq!(now, before, "the node is not as it was");
    }

    /// Waits until a shell command succeeds.
    pub fn waits_until(self, condition: &str) -> Output {
        self.waits(condition).ok()
    }

    /// The same, and fails not by itself when it does not.
    pub fn waits(self, condition: &str) -> Output {
        self.sh(&format!("{WAIT} {condition} && exit 0; sleep 0.2; done; exit 1"))
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
        self.sh(&format!("{WAIT} {gone} && exit 0; sleep 0.2; done; {left}; exit 1")).ok();
    }

    /// The kernel's view of a user's slice; nothing if there is no such file.
    pub fn slice(self, uid: u32, file: &str) -> String {
        self.sh(&format!("cat {}/{file}", slice(uid))).stdout.trim().to_owned()
    }

    /// Waits until the kernel's view of a user's slice is that.
    pub fn waits_for_slice(self, uid: u32, file: &str, value: &str) {
        let path = format!("{}/{file}", slice(uid));
        self.sh(&format!(
            "{WAIT} [ \"$(cat {path})\" = '{value}' ] && exit 0; sleep 0.2; done; \
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

/// logind keeps a user 10 s longer than the session, so it is not asked. A user who lingers keeps
/// what their manager started for itself. Podman's lock in /dev/shm is left by a job without a
/// session, too.
const SNAPSHOT: &str = r#"
    for dir in /var/lib/systemd/linger /run/user /run/spank-linger /var/lib/spank-linger; do
        echo $dir; ls -A $dir; done
    systemctl list-units --all --plain --no-legend 'user@*' 'user-runtime-dir@*' |
        awk '$3 == "active" {print $1}'
    for control in /run/systemd/system.control /etc/systemd/system.control; do
        [ ! -d $control ] || find $control -type f -path '*/user-*' -print -exec grep = {} + | sort
    done
    systemctl show user-1001.slice user-1002.slice user-1003.slice user-1004.slice \
        --property=Id,MemoryMax,MemoryHigh,MemorySwapMax,TasksMax,AllowedCPUs,DevicePolicy,DeviceAllow
    (cd /sys/fs/cgroup/user.slice &&
        grep -v '^max$' user-100[1-4].slice/memory.max user-100[1-4].slice/memory.swap.max) 2>/dev/null
    ps -eo uid=,comm= | awk -v lost="$lost" '
        $2 " " $3 == lost {next}
        $2 ~ /^(systemd|\(sd-pam\)|dbus-daemon|dbus-broker.*)$/ {next}
        $1 >= 1001 && $1 <= 1004 || $1 >= 100000 && $1 < 362144' | sort
    grep --extended-regexp ' 100[1-4] ' /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg
    find /dev/shm -type f -uid +1000 ! -name 'libpod_rootless_lock_*' -printf '%U %f\n' | sort
"#;
