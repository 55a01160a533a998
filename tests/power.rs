//! What only whoever holds the power switch can do.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Node;

/// An emulated node takes 15 s on an idle host, and 110 beside two that test.
const BOOT: Duration = Duration::from_secs(300);

/// Another one after each boot (proc_sys_kernel(5)).
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

impl Node {
    /// Takes the power from it, without a sync, and waits until Slurm knows it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn loses_power(self) {
        self.loses_power_until("exec linger-node-ready 'idle|mixed|allocated|completing'");
    }

    /// The same of a node whose slurmd does not start: waits until all else has started.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn loses_power_without_slurmd(self) {
        self.loses_power_until("systemctl --quiet is-active multi-user.target");
    }

    fn loses_power_until(self, is_up: &str) {
        let before = self.sh(BOOT_ID).ok().stdout;
        // A moment later, as nobody would answer.
        self.sh("echo 1 >/proc/sys/kernel/sysrq\n\
             setsid --fork sh -c 'sleep 1; echo b >/proc/sysrq-trigger' </dev/null >/dev/null 2>&1")
            .ok();
        self.hang_up();
        let begin = Instant::now();
        let is_back = format!("[ $({BOOT_ID}) != {} ] && {is_up}", before.trim());
        while !self.sh_within(30, &is_back).succeeded() {
            assert!(begin.elapsed() < BOOT, "{self} does not come back");
            sleep(Duration::from_secs(1));
        }
    }

    /// Ends the connection that all of root's commands share: it would hang.
    fn hang_up(self) {
        let mut ssh = self.ssh(10);
        // Its answer is of no use: it may have ended by itself.
        let _ = ssh.args(["-O", "exit"]).stderr(Stdio::null()).status();
    }
}
