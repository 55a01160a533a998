//! A node before the plugin's first installation.

use std::env;
use std::path::PathBuf;

use crate::{AtEnd, N1, RESTART};

/// All files of the node but what changes by itself; of a link, where it leads to. dpkg remembers each package
/// that has something to do after its removal, and no file.
pub const FILES: &str = "find /etc /usr /opt /var/lib /root -xdev \
    ! -path '/var/lib/systemd/*' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' \
    ! -path '/etc/slurm/plugstack.conf.d' ! -path '/var/lib' ! -path '/var/lib/logrotate*' \
    -printf '%p %M %u %s %l\\n' | sort; \
    dpkg-query --show --showformat='${db:Status-Status} ${Package} ${Version}\n' 'slurm*' | \
    grep ^installed";

/// Slurm's plugin directory.
pub const PLUGIN_DIR: &str = "dirname $(find /usr/lib -name task_cgroup.so)";

/// A node without the plugin, as before the first installation, until the end of
/// the test.
pub fn fresh_node() -> AtEnd {
    N1.configure("# nothing");
    N1.sh(&format!(
        "set -e; mkdir -p /root/own; mv $({PLUGIN_DIR})/spank_linger.so /root/own/\n\
         mv /etc/slurm/plugstack.conf.d/linger.conf /root/own/\n\
         rm -rf /run/spank-linger /var/lib/spank-linger; {RESTART}"
    ))
    .ok();
    N1.settles();
    AtEnd(format!(
        "dpkg --purge slurm-spank-linger newer-slurm; rm -f /root/linger.deb\n\
         mv /root/own/spank_linger.so $({PLUGIN_DIR})/\n\
         mv /root/own/linger.conf /etc/slurm/plugstack.conf.d/; rmdir /root/own; {RESTART}"
    ))
}

/// The .deb.
///
/// # Panics
/// Without `cargo xtask test`, which makes it.
pub fn package() -> PathBuf {
    env::var_os("LINGER_PACKAGE").expect("LINGER_PACKAGE is not set: run 'cargo xtask test'").into()
}
