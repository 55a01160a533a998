//! What only whoever holds the power switch can do.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Node;

/// An emulated node takes 15 s on an idle host.
const BOOT: Duration = Duration::from_secs(240);

impl Node {
    /// Takes the power from it, without a sync, and waits until Slurm knows it again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn loses_power(self) {
        // Nobody answers this one.
        self.sh_within(3, "echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger");
        self.hang_up();
        let begin = Instant::now();
        while !self
            .sh_within(20, "exec linger-node-ready 'idle|mixed|allocated|completing'")
            .succeeded()
        {
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
