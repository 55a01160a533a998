//! How a node is reached: one ssh configuration file for everyone who talks to the cluster.
use std::fmt::Write as _;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

/// Enough for a busy emulated node to accept a connection.
const CONNECT_SECONDS: u32 = 60;
const KNOCK: Duration = Duration::from_secs(5);
const EXIT: Duration = Duration::from_secs(5);

/// The text of the file. Only root's connections are shared: a connection of a user that stays
/// would be a login session that stays, and keep alive what the tests want to see end.
pub(crate) fn config(ports: &[(String, u16)], key: &Path, sockets: &Path) -> String {
    let mut text = String::new();
    for (node, port) in ports {
        let _ = writeln!(text, "Host {node}\n    HostName 127.0.0.1\n    Port {port}");
    }
    let _ = writeln!(
        text,
        "Host *\n    User root\n    IdentityFile \"{}\"\n    IdentitiesOnly yes\n    BatchMode yes\n    \
         StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n    GlobalKnownHostsFile /dev/null\n    \
         LogLevel ERROR\n    ConnectTimeout {CONNECT_SECONDS}\n    ServerAliveInterval 10\n    \
         ServerAliveCountMax 6\nMatch user root\n    ControlMaster auto\n    \
         ControlPath \"{}/ssh-%n-%r\"\n    ControlPersist yes",
        key.display(),
        sockets.display()
    );
    text
}

/// `ssh` with that file.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(config);
    command
}

/// End the shared connections: those to a node that lost its power would hang.
pub(crate) fn close(config: &Path, sockets: &[impl AsRef<Path>]) {
    for socket in sockets {
        let mut ssh = command(config);
        let option = format!("ControlPath={}", socket.as_ref().display());
        ssh.args(["-o", &option, "-O", "exit", "n1"]);
        // A master that is gone already is what we want.
        let _ = crate::process::capture(&mut ssh, EXIT);
        let _ = std::fs::remove_file(socket);
    }
}

/// Free now; should another program take it before QEMU does, QEMU says so and ends.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether an ssh server is behind that port, and not only QEMU.
pub(crate) fn greets(port: u16) -> bool {
    let mut greeting = [0; 4];
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.set_read_timeout(Some(KNOCK)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"SSH-"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_port_and_only_root_shares_a_connection() {
        let ports = [("n1".to_owned(), 2201), ("n2".to_owned(), 2202)];
        let text = config(&ports, Path::new("/cache/key"), Path::new("/state"));
        assert!(text.contains("Host n1\n    HostName 127.0.0.1\n    Port 2201\n"));
        assert!(text.contains("Host n2\n    HostName 127.0.0.1\n    Port 2202\n"));
        let (all, root) = text.split_once("Match user root\n").unwrap();
        assert!(!all.contains("Control"));
        assert!(root.contains("ControlPath \"/state/ssh-%n-%r\""));
    }
}
