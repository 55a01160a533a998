//! Slurm on this node, and what of its configuration matters to a session.

use linger_arguments::Arguments;
use user_session::SessionKind;

use super::slurmd::{Release, Slurmd};
use super::{Finding, system, unkillable};
use crate::node::Node;
use crate::plugstack::{Line, Stack};
use crate::slurm_conf::{Settings, SlurmConf};

/// What the checks ask of it.
pub(crate) struct Slurm {
    pub(crate) slurmd: Option<Slurmd>,
    /// Of slurmd, or why it is not known.
    pub(crate) release: Result<Release, String>,
    pub(crate) conf: Option<SlurmConf>,
    pub(crate) stack: Stack,
}

impl Slurm {
    pub(crate) fn of(node: &Node) -> Self {
        let slurmd = Slurmd::find(node);
        let told = slurmd.as_ref().and_then(|slurmd| slurmd.conf.clone());
        let conf = SlurmConf::find(node, told);
        let stack = conf.as_ref().map(|conf| Stack::read(node, &conf.plugstack()));
        let stack = stack.unwrap_or_default();
        Self { release: release(node, slurmd.as_ref()), slurmd, conf, stack }
    }

    /// The plugin's line.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.stack.lines.first()
    }

    /// What the plugin goes by.
    pub(super) fn arguments(&self) -> Arguments {
        self.line().and_then(|line| line.parse().ok()).unwrap_or_default()
    }

    /// Whether a job has a session of its own (`session=job`).
    pub(super) fn is_own(&self) -> bool {
        self.arguments().kind == SessionKind::Own
    }

    fn settings(&self) -> Option<&Settings> {
        self.conf.as_ref().map(|conf| &conf.settings)
    }
}

/// From the program that runs, where that is to be seen; else from the one in PATH.
fn release(node: &Node, slurmd: Option<&Slurmd>) -> Result<Release, String> {
    let running = slurmd.map(|slurmd| node.roots.proc.join(format!("{}/exe", slurmd.pid)));
    let running = running.filter(|exe| exe.exists());
    let program = running.map_or("slurmd".into(), |exe| exe.display().to_string());
    let printed = node.tools.run(&program, &["-V"]).map_err(|error| error.to_string())?;
    Release::printed(&printed).ok_or_else(|| format!("slurmd -V printed '{}'", printed.trim()))
}

pub(crate) fn checks(node: &Node, slurm: &Slurm) -> Vec<Finding> {
    let mut findings = vec![slurm_conf(slurm), slurmd(slurm)];
    if let Some(settings) = slurm.settings() {
        findings.push(prolog_flags(settings, slurm.is_own()));
        findings.push(job_container(node, slurm));
        let release = slurm.release.as_ref().ok();
        findings.push(system::constrain(node, release, slurm.conf.as_ref()));
        findings.push(unkillable::check(settings, &slurm.arguments(), release));
    }
    findings
}

fn slurm_conf(slurm: &Slurm) -> Finding {
    let cure = "install Slurm's configuration, or set SLURM_CONF to its place";
    slurm.conf.as_ref().map_or_else(
        || Finding::fail("slurm-conf", "no slurm.conf found", cure),
        |conf| Finding::ok("slurm-conf", conf.file.display().to_string()),
    )
}

fn slurmd(slurm: &Slurm) -> Finding {
    let is_there = slurm.slurmd.is_some();
    match &slurm.release {
        Ok(release) if is_there => Finding::ok("slurmd", format!("{release}, running")),
        Ok(release) => Finding::warn(
            "slurmd",
            format!("{release}, not seen to run: no job comes to this node"),
            "systemctl start slurmd; on a submit host there is none",
        ),
        Err(error) => Finding::fail(
            "slurmd",
            format!("its release is not known: {error}"),
            "install slurmd, and have it in PATH",
        ),
    }
}

fn prolog_flags(settings: &Settings, is_own: bool) -> Finding {
    const CHECK: &str = "prolog-flags";
    let has = |flag| settings.has("PrologFlags", flag);
    if has("RunInJob") {
        let found = "RunInJob: Slurm calls no SPANK prolog and epilog; the extern step does their work, \
            and --user-session=no does not reach it";
        return Finding::warn(CHECK, found, "PrologFlags=Alloc,Contain in slurm.conf");
    }
    if has("Contain") {
        return Finding::ok(CHECK, settings.get("PrologFlags").unwrap_or_default());
    }
    if is_own {
        let found =
            "no Contain: a job's session begins with its first step, and is in that one's cgroup";
        return Finding::ok(CHECK, found);
    }
    Finding::warn(
        CHECK,
        "no Contain: jobs have no extern step, so nothing tells between two steps that they go on",
        "PrologFlags=Alloc,Contain in slurm.conf",
    )
}

/// With Shared=false a mount that comes after the job's namespace does not arrive
/// there (namespace/tmpfs, Slurm 23.02 and later).
fn job_container(node: &Node, slurm: &Slurm) -> Finding {
    const CHECK: &str = "job-container";
    let Some(conf) = &slurm.conf else { return Finding::ok(CHECK, "none") };
    let named = ["NamespaceType", "JobContainerType"];
    let plugin = named.iter().find_map(|key| conf.settings.get(key));
    let Some(plugin) = plugin.filter(|plugin| !plugin.ends_with("/none")) else {
        return Finding::ok(CHECK, "none: jobs see the node's mounts");
    };
    if slurm.is_own() {
        let found =
            format!("{plugin} gives each job a mount namespace, in which session=job is not");
        return Finding::fail(
            CHECK,
            found,
            "session=linger in the plugin's line, or no such plugin",
        );
    }
    let settings = Settings::read(node, &conf.beside("job_container.conf"));
    if settings.is_on("Shared") {
        return Finding::ok(CHECK, format!("{plugin}, Shared=true"));
    }
    let found = format!(
        "{plugin} without Shared=true: a session that is opened again while a job runs is not seen in it"
    );
    Finding::warn(CHECK, found, "Shared=true in job_container.conf (Slurm 23.02 and later)")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    fn with_conf(conf: &str) -> MadeUp {
        node().with("/etc/slurm/slurm.conf", conf)
    }

    /// Show that a missing slurm.conf is named.
    #[test]
    fn slurm_conf_is_found_or_not() {
        let there = with_conf("");
        let found = slurm_conf(&Slurm::of(&there.node));
        assert_finding(&found, State::Ok, &["/etc/slurm/slurm.conf"]);
        let missing = slurm_conf(&Slurm::of(&node().node));
        assert_finding(&missing, State::Fail, &["no slurm.conf", "SLURM_CONF"]);
    }

    /// Show that a slurmd that runs is told from one that does not, and from none.
    #[test]
    fn slurmd_runs_or_not() {
        let stat = "77 (slurmd) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 100000 1";
        let runs = with_conf("")
            .with("/proc/77/comm", "slurmd\n")
            .with("/proc/77/stat", stat)
            .with_tools([("slurmd -V", Ok("slurm-wlm 24.11.5\n"))]);
        assert_finding(&slurmd(&Slurm::of(&runs.node)), State::Ok, &["24.11, running"]);
        let stopped = with_conf("").with_tools([("slurmd -V", Ok("slurm 24.11.5\n"))]);
        let found = slurmd(&Slurm::of(&stopped.node));
        assert_finding(&found, State::Warn, &["not seen to run", "systemctl start slurmd"]);
        let none = slurmd(&Slurm::of(&node().node));
        assert_finding(&none, State::Fail, &["slurmd: not found", "install slurmd"]);
    }

    /// Show what PrologFlags mean to a session.
    #[test]
    fn prolog_flags_matter() {
        let flags = |conf: &str| {
            let made_up = with_conf(conf);
            prolog_flags(Slurm::of(&made_up.node).settings().unwrap(), false)
        };
        assert_finding(&flags("PrologFlags=Alloc,Contain"), State::Ok, &["Alloc,Contain"]);
        let cure = "PrologFlags=Alloc,Contain";
        let in_job = flags("PrologFlags=Contain,RunInJob");
        assert_finding(&in_job, State::Warn, &["RunInJob", cure]);
        assert_finding(&flags(""), State::Warn, &["no extern step", cure]);
        let own = |conf: &str| {
            let made_up = with_conf(conf);
            prolog_flags(Slurm::of(&made_up.node).settings().unwrap(), true)
        };
        assert_finding(&own(""), State::Ok, &["begins with its first step"]);
        assert_finding(&own("PrologFlags=RunInJob"), State::Warn, &["RunInJob"]);
    }

    /// Show that mount namespaces which do not share are named.
    #[test]
    fn job_containers_share_or_not() {
        let found = |made_up: MadeUp| job_container(&made_up.node, &Slurm::of(&made_up.node));
        assert_finding(&found(with_conf("")), State::Ok, &["none"]);
        let with = || with_conf("JobContainerType=job_container/tmpfs");
        let cure = "Shared=true in job_container.conf";
        assert_finding(&found(with()), State::Warn, &["job_container/tmpfs", cure]);
        let shared = with().with("/etc/slurm/job_container.conf", "BasePath=/x Shared=true\n");
        assert_finding(&found(shared), State::Ok, &["Shared=true"]);
        let private = with_conf("NamespaceType=namespace/tmpfs")
            .with("/etc/slurm/job_container.conf", "Shared=false\n");
        assert_finding(&found(private), State::Warn, &["namespace/tmpfs", cure]);
        let own = |conf: &str| {
            found(
                with_conf(conf)
                    .with("/etc/slurm/plugstack.conf", "optional spank_linger.so session=job\n"),
            )
        };
        let refused = own("NamespaceType=namespace/tmpfs");
        assert_finding(&refused, State::Fail, &["session=job is not", "session=linger"]);
        assert_finding(&own("JobContainerType=job_container/none"), State::Ok, &["none"]);
    }
}
