//! A user who is logged in by ssh, with a session of their own.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::{NODES, Node};

/// No test takes longer; then the connection is ended.
const PATIENCE_S: u32 = 1200;

/// A shell that goes on from question to question.
#[derive(Debug)]
pub struct Login {
    ssh: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Login {
    /// Logs `user` in on `node`.
    ///
    /// # Panics
    /// When that does not work.
    pub fn of(user: &str, node: Node) -> Self {
        Self::with(&["-l", user, "bash -s"], node)
    }

    /// The same, by another sshd, which listens at that port of the node.
    ///
    /// # Panics
    /// When that does not work.
    pub fn by_port(user: &str, node: Node, port: u16) -> Self {
        let config = env::var(NODES).expect("run with 'cargo xtask test'");
        let way = format!("ProxyCommand=ssh -F '{config}' -W 127.0.0.1:{port} {node}");
        Self::with(&["-o", &way, "-l", user, "bash -s"], node)
    }

    fn with(arguments: &[&str], node: Node) -> Self {
        let mut ssh = node
            .ssh(PATIENCE_S)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start ssh");
        let stdin = ssh.stdin.take();
        let stdout = BufReader::new(ssh.stdout.take().expect("ssh's stdout is piped"));
        Self { ssh, stdin, stdout }
    }

    /// Runs a command that prints one line, and returns that.
    ///
    /// # Panics
    /// When the shell is gone.
    pub fn ask(&mut self, command: &str) -> String {
        let stdin = self.stdin.as_mut().expect("the shell has not been told to end");
        writeln!(stdin, "{command}").expect("the shell is there");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the shell answers");
        assert!(line.ends_with('\n'), "the shell ended at '{command}'");
        line.trim_end().to_owned()
    }
}

/// Logs out.
impl Drop for Login {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.ssh.wait();
    }
}
