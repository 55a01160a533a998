//! A test node as the tests see it: commands, jobs, and what is left afterwards.
//!
//! `cargo xtask test` starts the nodes and says where they are in the
//! environment: `LINGER_SSH_CONFIG`, a file for `ssh -F` that knows the hosts n1
//! and n2; `LINGER_SLURM_VERSION`, the release that the node runs;
//! `LINGER_OTHER_PLUGIN`, a plugin file built for a release that it does not run;
//! `LINGER_CRASH_PLUGIN`, one that a test can have killed at each change it makes;
//! `LINGER_COMMAND`, the command `spank-linger`; `LINGER_PACKAGE`, the .deb;
//! `LINGER_ANSIBLE`, the program `ansible-playbook`; `LINGER_ALL`, if tests that can be long are to be;
//! `LINGER_JOBS`, how many jobs to run where that can be chosen.
// A test that cannot go on panics, and most sentences about an output end there.
#![allow(clippy::expect_used, clippy::must_use_candidate, clippy::return_self_not_must_use)]

mod compiled;
mod fresh;
mod jobs;
mod login;
mod output;
mod postmortem;
mod power;
mod sections;
mod served;
mod watch;
mod well;

pub use compiled::put_compiled;
pub use fresh::{FILES, PLUGIN_DIR, fresh_node, package};
pub use jobs::{Batch, GO, Started, epilog_of, hears};
pub use login::Login;
pub use output::Output;
pub use sections::sections;
pub use served::{FIRST, LIVE, alice_is_served, forgetful, leaves_nothing};
pub use well::well;

use watch::PAUSE;

use std::env;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The variable that says where the nodes are.
const NODES: &str = "LINGER_SSH_CONFIG";

/// What an emulated node may take for anything that is not said to be longer.
const PATIENCE_S: u32 = 240;

/// The line an admin writes, with log lines that help when a test fails, and more patience: an emulated
/// node beside others stands still for 20 s now and then.
pub const OPTIONAL: &str = "optional spank_linger.so log_level=debug timeout=60";

/// The same, with less patience for leftovers than an admin has, and more for
/// sessions of several users that an emulated node opens at once.
pub const QUICK: &str = "optional spank_linger.so log_level=debug timeout=120 grace=1";

/// The file of the plugin's line.
pub const LINE: &str = "/etc/slurm/plugstack.conf.d/linger.conf";

/// How many to try, or in a run of everything.
pub fn many(usual: u32, all: u32) -> u32 {
    if env::var_os("LINGER_ALL").is_some() { all } else { usual }
}

/// How many jobs whoever runs a test by hand wants, or `usual`.
///
/// # Panics
/// When it is not a number.
pub fn by_hand(usual: u32) -> u32 {
    env::var("LINGER_JOBS").map_or(usual, |jobs| jobs.parse().expect("LINGER_JOBS is a number"))
}

/// A node that runs.
#[derive(Clone, Copy, Debug)]
pub struct Node(&'static str);

/// The first node, which also has the controller.
pub const N1: Node = Node("n1");
/// The second node of a cluster of two.
pub const N2: Node = Node("n2");

impl Node {
    /// Runs a script of root's.
    pub fn sh(self, script: &str) -> Output {
        self.sh_within(PATIENCE_S, script)
    }

    /// Runs a script of root's that may take `seconds`.
    ///
    /// # Panics
    /// When there is no node to run it on.
    pub fn sh_within(self, seconds: u32, script: &str) -> Output {
        self.feed(seconds, &["bash", "-s"], format!("{PAUSE}{script}").as_bytes())
    }

    fn feed(self, seconds: u32, command: &[&str], input: &[u8]) -> Output {
        postmortem::watch();
        let mut ssh = self
            .ssh(seconds)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start ssh");
        let mut stdin = ssh.stdin.take().expect("ssh's stdin is piped");
        stdin.write_all(input).expect("send the input");
        drop(stdin);
        let output = ssh.wait_with_output().expect("wait for ssh");
        Output::of(&String::from_utf8_lossy(input), &output)
    }

    /// `ssh` to this node, ended after `seconds`.
    fn ssh(self, seconds: u32) -> Command {
        let config = env::var_os(NODES).expect("no node: run these tests with 'cargo xtask test'");
        let mut ssh = Command::new("timeout");
        ssh.args(["--kill-after=5", &seconds.to_string(), "ssh", "-F"]).arg(config).arg(self.0);
        ssh
    }

    /// Runs a command of root's on a terminal.
    ///
    /// # Panics
    /// When there is no node to run it on.
    pub fn sh_on_terminal(self, command: &str) -> Output {
        let output = self.ssh(PATIENCE_S).args(["-tt", command]).output();
        Output::of(command, &output.expect("start ssh"))
    }

    /// Runs a script as a user who is not logged in: no PAM, no session.
    pub fn sh_as(self, user: &str, script: &str) -> Output {
        self.sh(&as_user(user, script))
    }

    /// Copies a file of this machine to the node.
    ///
    /// # Panics
    /// When it cannot be read or sent.
    pub fn put(self, file: &Path, to: &str) {
        let content = fs::read(file).expect("read the file to send");
        self.feed(PATIENCE_S, &["cat", ">", to], &content).ok();
    }

    /// The content of a file of the node's.
    ///
    /// # Panics
    /// When it cannot be read or sent.
    pub fn get(self, file: &str) -> Vec<u8> {
        let output = self.ssh(PATIENCE_S).args(["cat", file]).output().expect("start ssh");
        Output::of(file, &output).ok();
        output.stdout
    }

    /// Has the plugin's line in plugstack.conf be `line`, and slurmd know it. What
    /// a failed test left is ended.
    pub fn configure(self, line: &str) {
        let line = &of_kind(line);
        self.sh(CLEAN);
        let script =
            format!("[ \"$(cat {LINE})\" = '{line}' ] || {{ echo '{line}' >{LINE}; {RESTART}; }}");
        self.sh(&script).ok();
        self.sh(WAIT_IDLE).ok();
    }

    /// Has the plugin's line be that. slurmd is not told: arguments are read anew for each prolog, step and
    /// epilog.
    pub fn put_line(self, line: &str) {
        let line = &of_kind(line);
        self.sh(&format!("echo '{line}' >{LINE}")).ok();
    }

    /// Runs `work` with these lines in slurm.conf, in the place of those of the same
    /// keys: `Key=value`, or `#Key=` for none. What was there is put back, also when
    /// `work` panics.
    pub fn with_slurm_conf(self, lines: &[&str], work: impl FnOnce()) {
        const FILE: &str = "/etc/slurm/slurm.conf";
        let restart = format!("systemctl restart slurmctld slurmd; {WAIT_IDLE}");
        let key = |line: &&str| line.trim_start_matches('#').split('=').next().map(str::to_owned);
        let keys = lines.iter().filter_map(key).collect::<Vec<_>>().join("\\|");
        let set = format!("cp {FILE} {FILE}.before; sed -i '/^\\({keys}\\)=/d' {FILE}");
        let _end = AtEnd(format!("mv {FILE}.before {FILE}; {restart}"));
        self.sh(&format!("{set}; echo '{}' >>{FILE}; {restart}", lines.join("\n"))).ok();
        work();
    }

    /// The release of Slurm that it runs.
    ///
    /// # Panics
    /// When nobody said.
    pub fn slurm(self) -> String {
        env::var("LINGER_SLURM_VERSION").expect("run with 'cargo xtask test'")
    }

    /// The node's state in Slurm's words.
    pub fn state(self) -> String {
        let script = format!("sinfo --noheader --nodes={} --format=%T", self.0);
        self.sh(&script).ok().stdout.trim().to_owned()
    }

    /// Waits until it can take any job again: it is neither down nor drained.
    pub fn settles(self) {
        self.sh(WAIT_IDLE).ok();
    }

    /// What the plugin wrote to slurmd's log about a job.
    pub fn log_of(self, job: u32) -> String {
        self.sh(&format!("grep -F 'linger: job {job} ' /var/log/slurm/slurmd.log || true"))
            .ok()
            .stdout
    }
}

/// Mounts a file system of `alice`'s: fusermount3 gives its daemon's descriptor to
/// whoever is at the other end of a socket. Nobody takes it from there, so even the
/// first question of the kernel's (FUSE_INIT) has no answer, and all others wait.
pub const SILENT: &str = r#"
cat >~/silent <<'END'
use Fcntl; use Socket;
my ($point, $more) = @ARGV;
socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
fcntl $theirs, F_SETFD, 0 or die "fcntl: $!";
$ENV{_FUSE_COMMFD} = fileno $theirs;
system('fusermount3', '-o', "subtype=silent$more", '--', $point) == 0 or die "fusermount3: $?";
$| = 1; print "mounted\n";
sleep;
END
"#;

/// Tries both devices as a task, in a container and in a service.
pub const DEVICES: &str = r#"
opens='for tty in 60 61; do (: <>/dev/tty$tty) && echo -n " $tty"; done 2>/dev/null; echo'
echo task: $(bash -c "$opens")
# Mounted, because --device asks beforehand: here it is the kernel that answers.
echo container: $(podman run --rm --network=none --volume=/dev:/host localhost/busybox sh -c "${opens/dev/host}")
echo service: $(systemd-run --user --wait --pipe --quiet bash -c "$opens")
echo up
"#;

/// Whether each job has a session of its own in this run.
#[must_use]
pub fn has_own_sessions() -> bool {
    env::var("LINGER_SESSION").is_ok_and(|kind| kind == "job")
}

/// A line of plugstack.conf with the kind of session that this run is for: what holds for one holds for the other.
fn of_kind(line: &str) -> String {
    match env::var("LINGER_SESSION") {
        Ok(kind) if !line.contains(" session=") => format!("{line} session={kind}"),
        _ => line.to_owned(),
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// Says why this test does not apply to the node: `cargo xtask test` counts it as skipped, and
/// puts the reason into its table. The last that a test does.
pub fn skipped(reason: &str) {
    println!("skipped: {reason}");
}

/// A script of root's that runs on n1 at the end of a test, also of one that fails.
#[derive(Debug)]
pub struct AtEnd(pub String);

impl Drop for AtEnd {
    fn drop(&mut self) {
        N1.sh(&self.0);
    }
}

/// A script in a script: as a user, in their home, with a clean environment.
pub fn as_user(user: &str, script: &str) -> String {
    format!(
        "cd ~{user} && exec setpriv --reuid={user} --regid={user} --init-groups --reset-env \
         bash -s <<'END_OF_USER_SCRIPT'\n{script}\nEND_OF_USER_SCRIPT\n"
    )
}

/// A test that failed may have left jobs, people who are logged in, and sessions
/// that are slow to close; Slurm 20.11, processes of its jobs in its own cgroup. It is run before most tests,
/// and there is mostly nothing to do.
const CLEAN: &str = "jobs=$(squeue --noheader --format=%A); [ -z \"$jobs\" ] || scancel $jobs\n\
    of_users() { find /proc /run/user -maxdepth 1 -uid +1000 -uid -1005 2>/dev/null; }\n\
    [ -n \"$(of_users)\" ] || exit 0\n\
    for lost in $(cat /sys/fs/cgroup/system.slice/slurmd.service/cgroup.procs); do \
        [ $(stat --format=%u /proc/$lost) -ge 1001 ] && kill $lost; done 2>/dev/null\n\
    none() { for i in $(seq $1); do [ -n \"$(of_users)\" ] || exit 0; pause 0.2; done; }\n\
    none 100; loginctl disable-linger alice bob carol dave; pkill --uid 1001,1002,1003,1004; none 500";

/// systemd starts no service more than five times in ten seconds, unless it is told to forget.
pub const RESTART: &str = "systemctl reset-failed slurmd; systemctl restart slurmd";

const WAIT_IDLE: &str = "for i in $(seq 300); do \
    [ \"$(sinfo --noheader --format=%T | sort -u)\" = idle ] && exit 0; sleep 0.2; done; \
    sinfo; exit 1";
