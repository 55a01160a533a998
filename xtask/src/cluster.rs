//! Test nodes as one thing: brought up, talked to, ended.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::accel::Accel;
use crate::cache::Cache;
use crate::image::Image;
use crate::machine::Machine;
use crate::plan::{self, Plan};
use crate::progress::Step;
use crate::ssh::Way;
use crate::state::{MOST_NODES, State};
use crate::suite::Suite;
use crate::{interrupt, probe, process, ssh, tools};

/// An emulated node takes 15 s on an idle host.
const BOOT: Duration = Duration::from_secs(600);
const IDLE: Duration = Duration::from_secs(300);
const KNOCK_AGAIN: Duration = Duration::from_millis(200);
/// Slurm's names for a node that could run something; one that does not answer has a `*` behind.
const ANSWERING: &str = "idle|mixed|allocated|completing";
const SSH_CONFIG: &str = "ssh_config";
/// A power cut, as the kernel has it: no sync, no process is told. A moment later, as nobody would answer.
const CUT: &str = "echo 1 >/proc/sys/kernel/sysrq; \
    setsid --fork sh -c 'sleep 1; echo b >/proc/sysrq-trigger' </dev/null >/dev/null 2>&1";
const CUT_AFTER: Duration = Duration::from_secs(2);
const ASK: Duration = Duration::from_secs(30);

/// How to bring a cluster up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name; by default the suite's, with the process id for a cluster that ends with us.
    pub name: Option<String>,
    /// One node, or two in one network.
    pub nodes: u8,
    /// Whether it stays when this process ends. One that does not is to be brought up from the
    /// main thread: the kernel ends it with the thread that started it.
    pub stay: bool,
    /// Whether others run beside it: then an emulated node keeps to one core.
    pub beside: bool,
    /// Whether a node with one CPU and no cpuset controller will do, where a machine would be emulated: it
    /// is a process then, and a few times as fast.
    pub light: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, nodes: 1, stay: false, beside: false, light: false }
    }
}

/// Nodes that run. Dropping it ends them, unless they were brought up to stay and are ready.
pub struct Cluster {
    suite: Suite,
    state: State,
    ssh_config: PathBuf,
    machines: Vec<Machine>,
    ends: bool,
}

impl Cluster {
    /// Build what is missing, boot, and wait until every node is idle.
    ///
    /// # Errors
    /// A tool is missing, the build failed, or a node did not get ready in time; then with the
    /// end of its console.
    pub fn up(suite: Suite, options: &Options) -> Result<Self> {
        ensure!((1..=MOST_NODES).contains(&options.nodes), "a cluster has one or two nodes");
        let version = tools::ensure_all()?;
        let cache = Cache::open()?;
        let image = Image::ensure(&cache, suite)?;
        let accel = probe::choose(&cache, &image, &version, options.light)?;
        let name = name_of(suite, options);
        let state = State::of(&name)?;
        state.claim(&name, suite, options.nodes)?;
        let mut cluster = Self {
            suite,
            ssh_config: state.path(SSH_CONFIG),
            state,
            machines: Vec::new(),
            ends: true,
        };
        let step = Step::start(format!("booting {name} ({})", accel.name()));
        cluster.boot(&name, &cache, &image, accel, options)?;
        drop(image);
        cluster.wait_booted()?;
        cluster.wait_idle()?;
        step.done();
        cluster.ends = !options.stay;
        Ok(cluster)
    }

    /// The running cluster of that name, brought up to stay by an earlier run.
    ///
    /// # Errors
    /// There is none.
    pub fn attach(name: &str) -> Result<Self> {
        let state = State::of(name)?;
        let Some((suite, nodes)) = state.cluster() else { bail!("no node {name} is up") };
        let machines = state.machines(name);
        ensure!(
            machines.len() == usize::from(nodes),
            "{name} has stopped; `cargo xtask vm down {name}` cleans up"
        );
        Ok(Self { suite, ssh_config: state.path(SSH_CONFIG), state, machines, ends: false })
    }

    /// The Debian release of the nodes.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The names of the nodes: n1, n2.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(|machine| machine.node.as_str())
    }

    /// A configuration for ssh that knows every node by its name: all that a test needs.
    #[must_use]
    pub fn ssh_config(&self) -> &Path {
        &self.ssh_config
    }

    /// `ssh` with that configuration.
    #[must_use]
    pub fn ssh(&self) -> Command {
        ssh::command(&self.ssh_config)
    }

    /// Run a shell command on a node (`n1`, or `alice@n1`) and give what it wrote, whatever its
    /// exit status.
    ///
    /// # Errors
    /// It did not end in time; then with the end of the node's console.
    pub fn run(&self, node: &str, script: &str, timeout: Duration) -> Result<Output> {
        process::capture(self.ssh().args([node, script]), timeout)
            .with_context(|| format!("{node}: {script}"))
            .map_err(|error| self.with_consoles(error))
    }

    /// Run a shell command that has to succeed, and give its standard output.
    ///
    /// # Errors
    /// It failed, or did not end in time.
    pub fn must_run(&self, node: &str, script: &str, timeout: Duration) -> Result<String> {
        let output = self.run(node, script, timeout)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{node}: {script}: {}: {}",
            output.status,
            complaint.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Take the power from a node and give it back, and wait until every node answers. It need not
    /// be idle: slurmctld may still count on a job that ended with the power.
    ///
    /// # Errors
    /// There is no such node, or it did not come back.
    pub fn reset(&self, node: &str) -> Result<()> {
        ensure!(self.nodes().any(|name| name == node), "no node {node}");
        self.must_run(node, CUT, ASK)?;
        ssh::close(&self.ssh_config, &self.state.ssh_sockets());
        thread::sleep(CUT_AFTER);
        self.wait_booted()?;
        self.wait_states(ANSWERING)
    }

    /// Wait until every node is idle.
    ///
    /// # Errors
    /// One did not get so in time.
    pub fn wait_idle(&self) -> Result<()> {
        self.wait_states("idle")
    }

    /// Whether the kernel of a node has panicked.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.machines.iter().any(Machine::has_panicked)
    }

    /// The ends of the nodes' serial consoles.
    #[must_use]
    pub fn consoles(&self) -> String {
        self.machines.iter().map(Machine::console_tail).collect::<Vec<_>>().join("\n")
    }

    /// End the nodes, and say what went wrong where a drop would not.
    ///
    /// # Errors
    /// The state directory cannot be removed.
    pub fn down(mut self) -> Result<()> {
        self.ends = false;
        self.end()
    }

    fn boot(
        &mut self,
        name: &str,
        cache: &Cache,
        image: &Image,
        accel: Accel,
        options: &Options,
    ) -> Result<()> {
        let plan = Plan {
            name,
            cache,
            directory: self.state.directory(),
            image,
            accel,
            nodes: options.nodes,
            memory: plan::memory()?,
            stay: options.stay,
            beside: options.beside,
        };
        let mut ways = Vec::new();
        for number in 1..=options.nodes {
            let (machine, way) = Machine::start(&plan, number)?;
            self.machines.push(machine);
            ways.push((format!("n{number}"), way));
        }
        let config = ssh::config(&ways, &cache.ssh_key()?, self.state.directory());
        self.state.write(SSH_CONFIG, &config)?;
        let ways = ways.iter().map(|(_, way)| way.to_string()).collect::<Vec<_>>();
        self.state.write("ways", &ways.join("\n"))
    }

    fn wait_states(&self, states: &str) -> Result<()> {
        let script = format!("linger-node-ready '{states}'");
        self.nodes().try_for_each(|node| self.must_run(node, &script, IDLE).map(drop))
    }

    fn wait_booted(&self) -> Result<()> {
        let deadline = Instant::now() + BOOT;
        let knocked = self.state.ways().into_iter().try_for_each(|way| self.knock(way, deadline));
        knocked.map_err(|error| self.with_consoles(error))
    }

    /// QEMU accepts a connection before the guest does, so only sshd's greeting counts.
    fn knock(&self, way: Way, deadline: Instant) -> Result<()> {
        while !way.greets() {
            interrupt::check()?;
            ensure!(self.machines.iter().all(Machine::alive), "a node has stopped");
            ensure!(Instant::now() < deadline, "the node does not boot: {}", process::late(BOOT));
            thread::sleep(KNOCK_AGAIN);
        }
        Ok(())
    }

    fn with_consoles(&self, error: anyhow::Error) -> anyhow::Error {
        // On Ctrl-C nobody asks what the guest is doing.
        if interrupt::check().is_err() {
            error
        } else {
            anyhow::anyhow!("{error:#}\n{}", self.consoles())
        }
    }

    fn end(&mut self) -> Result<()> {
        for machine in &mut self.machines {
            machine.end();
        }
        // The shared connections end with their machines.
        self.state.remove()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.ends
            && let Err(error) = self.end()
        {
            eprintln!("warning: {error:#}");
        }
    }
}

fn name_of(suite: Suite, options: &Options) -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    match &options.name {
        Some(name) => name.clone(),
        None if options.stay => suite.name().to_owned(),
        // One process may have several of the same release.
        None => {
            let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
            format!("{}-{}-{number}", suite.name(), std::process::id())
        }
    }
}
