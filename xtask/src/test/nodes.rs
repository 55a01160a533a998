//! Tests on nodes: bring them up, put the plugin in, run, end them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;

use super::times::{Laps, Left};
use super::units::{Kind, Part, split};
use super::{Options, Run, Unit, keep};
use crate::cluster::{self, Cluster};
use crate::suite::Suite;
use crate::{ansible, build, dist, interrupt, plugin, vm};

/// The longest target takes 13 minutes on two cores.
const PART: Duration = Duration::from_secs(4800);

/// How often an area is run again because the kernel of its light node has panicked.
const MOST_PANICS: u8 = 2;

/// Which tests run on which nodes.
pub(crate) struct NodeTests<'a> {
    pub(crate) unit: &'a Unit,
    pub(crate) options: &'a Options,
    /// What all units have left.
    pub(crate) left: &'a Left,
}

/// Nodes that are up, and what tests are to put there.
struct Prepared {
    cluster: Cluster,
    other: PathBuf,
    crash: Option<PathBuf>,
    command: Option<PathBuf>,
}

/// Whether what an area's tests came to counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Given,
    /// They had no node at the end.
    None,
}

/// What the tests are to put on the nodes or to run, by the variables that name it to them.
type Files = Vec<(&'static str, PathBuf)>;

/// The plugin for a release and for another, and the command if it is asked for.
type Built = (PathBuf, PathBuf, Option<PathBuf>);

impl NodeTests<'_> {
    /// Runs them; what goes wrong before a test begins counts as a failure.
    pub(crate) fn run(&self, run: &mut Run) -> Result<()> {
        let outcome = self.on_nodes(run);
        self.left.end_unit(self.unit);
        if let Err(error) = outcome {
            interrupt::check()?;
            run.fail(&format!("node tests on {}", self.unit.suite.name()), &error);
        }
        Ok(())
    }

    fn on_nodes(&self, run: &mut Run) -> Result<()> {
        let mut laps = Laps::default();
        let ready = self.ready(&mut laps);
        run.times.note_nodes(self.unit, laps);
        let (mut cluster, mut files) = ready?;
        let (suite, targets) = (self.unit.suite, self.unit.targets.join(", "));
        println!("==> testing {} with {} node(s): {targets}", suite.name(), self.unit.nodes);
        run.matrix.ask(&cluster)?;
        for target in self.unit.targets.repeat(usize::from(self.options.repeat)) {
            let mut left = MOST_PANICS;
            while self.area(target, &files, run, (left > 0).then_some(&cluster))? == Verdict::None {
                left -= 1;
                cluster.down()?;
                (cluster, files) = self.ready(&mut Laps::default())?;
            }
        }
        if self.options.keep_node { Ok(()) } else { cluster.down() }
    }

    /// Runs an area once. User-mode Linux does not survive that a process is killed which is about to fork (6.12,
    /// flush_tlb_mm() of a half-copied mm): what failed on a node whose kernel is gone has failed for that.
    fn area(
        &self,
        target: &str,
        files: &Files,
        run: &mut Run,
        may_panic: Option<&Cluster>,
    ) -> Result<Verdict> {
        let Unit { part, suite, .. } = *self.unit;
        println!("==> {}{target} …{}", self.label(), self.left.forecast(self.unit));
        let mut cargo = self.cargo(target);
        cargo.envs(files.iter().map(|(name, file)| (name, file)));
        let ran = run.tally.cargo_test(self.label(), &mut cargo, PART)?;
        let has_panicked = || may_panic.is_some_and(Cluster::has_panicked);
        if ran.counted.tally.failed > 0 && self.unit.kind == Kind::Light && has_panicked() {
            run.tally.take_back(ran.counted.tally);
            println!(
                "{}the node's kernel has panicked: {target} again, on a new one",
                self.label()
            );
            return Ok(Verdict::None);
        }
        for again in keep::again(part, target, self.options.all, &ran) {
            println!("again alone, on a node that stays up: {again}");
        }
        self.left.end(suite, target);
        run.note_failed(&format!("{} {target}", suite.name()), &ran);
        run.times.note(suite, target, &ran);
        run.matrix.note(suite, target, ran.counted);
        Ok(Verdict::Given)
    }

    /// Nodes that are up, and the files to test with.
    fn ready(&self, laps: &mut Laps) -> Result<(Cluster, Files)> {
        let prepared = self.prepare(laps)?;
        let files = laps.time("files", || self.files(&prepared))?;
        Ok((prepared.cluster, files))
    }

    fn files(&self, prepared: &Prepared) -> Result<Files> {
        let has = |area| self.unit.has(area);
        let mut files = vec![
            ("LINGER_SSH_CONFIG", prepared.cluster.ssh_config().to_path_buf()),
            ("LINGER_OTHER_PLUGIN", prepared.other.clone()),
        ];
        files.extend(prepared.crash.clone().map(|crash| ("LINGER_CRASH_PLUGIN", crash)));
        files.extend(prepared.command.clone().map(|command| ("LINGER_COMMAND", command)));
        if has("package") || has("ansible") {
            files.push(("LINGER_PACKAGE", dist::packages()?.deb));
        }
        if has("ansible") {
            files.push(("LINGER_ANSIBLE", ansible::programs()?.join("ansible-playbook")));
        }
        Ok(files)
    }

    /// One at a time: builds share a directory, and a fresh machine gets its tools.
    fn prepare(&self, laps: &mut Laps) -> Result<Prepared> {
        static PREPARING: Mutex<()> = Mutex::new(());
        let _preparing = laps.time("waiting for the lock", || PREPARING.lock());
        let (plugin, other, command) = laps.time("plugins", || self.build())?;
        let crash = laps.time("plugin with crash points", || self.build_crashing())?;
        // Cluster::up would build it too, but as a part of the boot.
        laps.time("image", || vm::build(self.unit.suite))?;
        let cluster = laps.time("boot", || Cluster::up(self.unit.suite, &self.nodes()))?;
        laps.time("putting the plugin there", || plugin::push(&cluster, &plugin))?;
        Ok(Prepared { cluster, other, crash, command })
    }

    fn nodes(&self) -> cluster::Options {
        let (nodes, stay) = (self.unit.nodes, self.options.keep_node);
        cluster::Options {
            nodes,
            stay,
            beside: true,
            light: self.unit.kind == Kind::Light,
            name: None,
        }
    }

    fn build_crashing(&self) -> Result<Option<PathBuf>> {
        let is_killed = self.unit.has("crashes");
        is_killed.then(|| build::crashing_plugin(self.unit.suite.slurm())).transpose()
    }

    fn build(&self) -> Result<Built> {
        let slurm = self.unit.suite.slurm();
        let other = build::other_than(slurm);
        let is_asked = ["command", "keep", "own"].into_iter().any(|area| self.unit.has(area));
        if self.unit.suite.has_old_libc() {
            let packed = dist::packages()?;
            let command = is_asked.then(|| packed.command());
            return Ok((packed.plugin(slurm), packed.plugin(other), command));
        }
        let command = is_asked.then(build::command).transpose()?;
        Ok((dist::plugin_like(slurm)?, dist::plugin_like(other)?, command))
    }

    /// What the lines of its tests begin with.
    fn label(&self) -> &'static str {
        match (self.unit.suite, self.unit.part) {
            (_, Part::Cluster) => "[two nodes] ",
            (Suite::Trixie, Part::Machine) => "[trixie, machine] ",
            (Suite::Bookworm, Part::Machine) => "[bookworm, machine] ",
            (Suite::Forky, Part::Machine) => "[forky, machine] ",
            (Suite::Trixie, _) => "[trixie] ",
            (Suite::Bullseye, _) => "[bullseye] ",
            (Suite::Bookworm, _) => "[bookworm] ",
            (Suite::Forky, _) => "[forky] ",
        }
    }

    fn cargo(&self, target: &str) -> Command {
        let mut cargo = build::cargo(self.unit.suite.slurm());
        let (area, session) = split(target);
        cargo.args(["test", "--quiet", "--package", "cluster-tests", "--test", area]);
        cargo.envs(session.map(|session| ("LINGER_SESSION", session)));
        cargo.args(["--", "--test-threads=1", "--format=pretty", "--show-output"]);
        match &self.options.name {
            Some(name) => cargo.arg(name),
            None => cargo.args(self.unit.tests_of(target)),
        };
        if self.options.all {
            cargo.env("LINGER_ALL", "1");
        }
        cargo.env("LINGER_SLURM_VERSION", self.unit.suite.slurm()).env("RUST_BACKTRACE", "0");
        cargo
    }
}
