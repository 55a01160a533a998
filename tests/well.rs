//! What a node of the tests needs for the doctor to find nothing wrong.

use crate::{AtEnd, Batch, N1};

/// Up to 23.11 Slurm's own patience is a minute, whatever `MessageTimeout` is: less than the plugin has on these nodes.
const PATIENCE: &str = "UnkillableStepTimeout=300";

/// Has Podman forget where it ran, as the doctor says: tests before may have had it run without a session.
const FORGET: &str = "podman rm --all --force; cd ~/.local/share/containers/storage && \
    rm -f db.sql libpod/bolt_state.db";

/// Has the node, and alice, be well until it is dropped. The command is to be there, and no daemon is told.
pub fn well() -> Option<AtEnd> {
    const CONF: &str = "/etc/slurm/slurm.conf";
    if N1.sh("spank-linger doctor --user alice --quiet").stdout.contains("podman-store") {
        Batch::of("alice", FORGET).run().ok();
        N1.settles();
    }
    if N1.slurm().as_str() >= "24.05" {
        return None;
    }
    N1.sh(&format!("echo {PATIENCE} >>{CONF}")).ok();
    Some(AtEnd(format!("sed -i /^{PATIENCE}$/d {CONF}")))
}
