//! How a node is reached: one ssh configuration file for everyone who talks to the cluster.
use std::fmt::{self, Write as _};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::Uid;

use crate::process;

/// Enough for a busy emulated node to accept a connection.
const CONNECT_SECONDS: u32 = 60;
const KNOCK: Duration = Duration::from_secs(5);
const EXIT: Duration = Duration::from_secs(5);

/// Where each node has its sshd, in its own network.
const NODE: &str = "/dev/tcp/10.0.2.15/22";

/// How a node's sshd is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a port of the host's loopback.
    Port(u16),
    /// From within the network namespace of this process.
    Namespace(i32),
}

impl Way {
    /// What [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once(' ')?;
        match kind {
            "port" => number.parse().ok().map(Self::Port),
            "namespace" => number.parse().ok().map(Self::Namespace),
            _ => None,
        }
    }

    /// Whether an ssh server is there, and not only QEMU.
    pub(crate) fn greets(self) -> bool {
        match self {
            Self::Port(port) => greets(port),
            Self::Namespace(pid) => {
                let mut bash = Command::new("sh");
                bash.args(["-c", &within(pid, &format!("head --bytes=4 <{NODE}"))]);
                process::capture(&mut bash, KNOCK).is_ok_and(|output| output.stdout == b"SSH-")
            }
        }
    }

    fn options(self) -> String {
        match self {
            Self::Port(port) => format!("    HostName 127.0.0.1\n    Port {port}\n"),
            Self::Namespace(pid) => {
                // An ssh that is killed takes its connection with it, as one without a relay does.
                let relay = within(pid, &format!("exec 3<>{NODE}; cat <&3 & cat >&3; kill $!"));
                format!("    ProxyCommand {relay}\n")
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(to, "port {port}"),
            Self::Namespace(pid) => write!(to, "namespace {pid}"),
        }
    }
}

/// The line for a shell that runs a script of bash's in the namespaces of a node.
fn within(pid: i32, script: &str) -> String {
    let user = if Uid::effective().is_root() { "" } else { " --user --preserve-credentials" };
    format!("nsenter --target {pid}{user} --net bash -c '{script}'")
}

/// The text of the file. Only root's connections are shared: a connection of a user that stays
/// would be a login session that stays, and keep alive what the tests want to see end.
pub(crate) fn config(ways: &[(String, Way)], key: &Path, sockets: &Path) -> String {
    let mut text = String::new();
    for (node, way) in ways {
        let _ = write!(text, "Host {node}\n{}", way.options());
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
        let _ = process::capture(&mut ssh, EXIT);
        let _ = std::fs::remove_file(socket);
    }
}

/// Free now; should another program take it before QEMU does, QEMU says so and ends.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn greets(port: u16) -> bool {
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
    fn every_node_has_its_way_and_only_root_shares_a_connection() {
        let ways = [("n1".to_owned(), Way::Port(2201)), ("n2".to_owned(), Way::Namespace(7))];
        let text = config(&ways, Path::new("/cache/key"), Path::new("/state"));
        assert!(text.contains("Host n1\n    HostName 127.0.0.1\n    Port 2201\n"));
        assert!(text.contains("Host n2\n    ProxyCommand nsenter --target 7 "), "{text}");
        let (all, root) = text.split_once("Match user root\n").unwrap();
        assert!(!all.contains("Control"));
        assert!(root.contains("ControlPath \"/state/ssh-%n-%r\""));
    }

    #[test]
    fn a_way_is_read_as_it_was_written() {
        for way in [Way::Port(2201), Way::Namespace(7)] {
            assert_eq!(Way::parse(&way.to_string()), Some(way));
        }
        assert_eq!(Way::parse("port"), None);
    }
}
