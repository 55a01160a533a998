//! The plugin's line in plugstack.conf, its file, and whether slurmd knows both.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::slurm::Slurm;
use super::slurmd::{Mapped, Slurmd};
use super::{Finding, elf};
use crate::node::Node;
use crate::plugstack::{Line, PLUGIN, file_of};

const RESTART: &str = "systemctl restart slurmd (running jobs go on)";

pub(super) fn checks(node: &Node, slurm: &Slurm) -> Vec<Finding> {
    let mut findings = vec![plugstack(slurm)];
    let Some(line) = slurm.line() else { return findings };
    findings.push(arguments(line));
    let dirs = slurm.conf.as_ref().map(|conf| conf.plugin_dirs(node)).unwrap_or_default();
    let Some(file) = line.plugin_file(node, &dirs) else {
        findings.push(no_file(line, &dirs));
        return findings;
    };
    findings.push(plugin_file(node, slurm, &file));
    findings.push(release(node, slurm, &file));
    findings.push(restarted(node, slurm, line, &file));
    findings.push(order(node, slurm, &dirs));
    findings
}

/// Called last in a task, and as its user: the plugin's own has set the variables by then.
const IN_A_TASK: &str = "slurm_spank_task_init";

/// A plugin that takes tasks below another root does so there, as pyxis.
fn order(node: &Node, slurm: &Slurm, dirs: &[PathBuf]) -> Finding {
    const CHECK: &str = "plugstack-order";
    let files = slurm.stack.behind.iter().filter_map(|plugin| file_of(plugin, node, dirs));
    let mut in_tasks = files.filter(|file| elf::exports(&node.at(file), IN_A_TASK));
    match in_tasks.next() {
        None => Finding::ok(CHECK, "no other plugin acts in a task after this one"),
        Some(file) => {
            let found = format!(
                "{} acts in a task after this plugin: where it takes the task below another root (as pyxis), \
                 the session's variables lead nowhere",
                file.display()
            );
            Finding::warn(CHECK, found, format!("put its line before the one with {PLUGIN}"))
        }
    }
}

const INCLUDE: &str = "include /etc/slurm/plugstack.conf.d/*.conf";

fn plugstack(slurm: &Slurm) -> Finding {
    const CHECK: &str = "plugstack";
    let at = |line: &Line| format!("{}, line {}", line.file.display(), line.number);
    match &slurm.stack.lines[..] {
        [] => no_line(CHECK, slurm),
        [line] => Finding::ok(CHECK, at(line)),
        [line, other, ..] => {
            let found = format!("the plugin is in {} and in {}", at(line), at(other));
            Finding::fail(CHECK, found, "remove one: Slurm would load it twice")
        }
    }
}

fn no_line(check: &'static str, slurm: &Slurm) -> Finding {
    let (stack, conf) = (&slurm.stack, slurm.conf.as_ref());
    let conf = conf.map_or("plugstack.conf".into(), |conf| conf.plugstack().display().to_string());
    let included: Vec<_> = stack.includes.iter().map(|path| path.display().to_string()).collect();
    let (found, cure) = match () {
        () if stack.files.is_empty() => (
            format!("{conf} is not there"),
            format!("write '{INCLUDE}' into {conf}, and put linger.conf there"),
        ),
        () if included.is_empty() => (
            format!("{conf} has no line with {PLUGIN}, and no include"),
            format!("add '{INCLUDE}' to {conf}"),
        ),
        () => (
            format!("no line with {PLUGIN} in {conf} or {}", included.join(", ")),
            format!("write 'optional {PLUGIN}' into a file that it includes"),
        ),
    };
    Finding::fail(check, found, cure)
}

fn arguments(line: &Line) -> Finding {
    const CHECK: &str = "arguments";
    match line.parse() {
        Ok(_) if line.arguments.is_empty() => Finding::ok(CHECK, "none: the defaults"),
        Ok(_) => Finding::ok(CHECK, line.arguments.join(" ")),
        Err(error) => {
            let (found, cure) = error.rsplit_once(": ").unwrap_or((&error, ""));
            let cure = format!("{cure}; correct {}, line {}", line.file.display(), line.number);
            Finding::fail(CHECK, found, cure)
        }
    }
}

fn plugin_file(node: &Node, slurm: &Slurm, file: &Path) -> Finding {
    const CHECK: &str = "plugin-file";
    let (name, there) = (file.display(), node.at(file));
    if let Err(error) = elf::release(&there) {
        let release = slurm.release.as_ref().map(ToString::to_string).unwrap_or_default();
        let cure = format!("install the file for Slurm {release}");
        return Finding::fail(CHECK, format!("{name}: {error}"), cure);
    }
    let is_safe = |found: Metadata| found.uid() == node.owner && found.mode() & 0o022 == 0;
    if !fs::metadata(&there).is_ok_and(is_safe) {
        let found = format!("{name}: others than root can write what root loads");
        return Finding::fail(CHECK, found, format!("chown root: {name}; chmod 644 {name}"));
    }
    match elf::missing(node, &there) {
        None => Finding::ok(CHECK, name.to_string()),
        Some(missing) => Finding::fail(
            CHECK,
            format!("{name} cannot be loaded: {missing}"),
            "install a file that was built on this distribution, or on an older one",
        ),
    }
}

fn no_file(line: &Line, dirs: &[PathBuf]) -> Finding {
    let place = if line.plugin.is_absolute() { line.plugin.parent() } else { None };
    let place = place.or(dirs.first().map(PathBuf::as_path));
    let place = place.map_or("PluginDir".into(), |place| place.display().to_string());
    let found = format!("{} is not in {place}", line.plugin.display());
    let cure = format!("install -m 644 {PLUGIN} {place}/, then {RESTART}");
    Finding::fail("plugin-file", found, cure)
}

fn release(node: &Node, slurm: &Slurm, file: &Path) -> Finding {
    const CHECK: &str = "release";
    match (elf::release(&node.at(file)), &slurm.release) {
        (Ok(plugin), Ok(slurmd)) if plugin == *slurmd => {
            Finding::ok(CHECK, format!("the plugin is for Slurm {plugin}, as slurmd"))
        }
        (Ok(plugin), Ok(slurmd)) => Finding::fail(
            CHECK,
            format!("the plugin is for Slurm {plugin}, slurmd is {slurmd}, and refuses it"),
            format!(
                "install the plugin for {slurmd} (SLURM_VERSION={slurmd} cargo build --release)"
            ),
        ),
        (Ok(plugin), Err(error)) => Finding::warn(
            CHECK,
            format!("the plugin is for Slurm {plugin}, slurmd's release is not known: {error}"),
            "compare it with what 'slurmd -V' prints on the node",
        ),
        (Err(error), _) => Finding::fail(CHECK, error, "install the plugin's file"),
    }
}

/// slurmd looks only at its start whether a plugin has a prolog. Arguments are
/// read anew for each prolog and step, but a line that came later is not known.
fn restarted(node: &Node, slurm: &Slurm, line: &Line, file: &Path) -> Finding {
    const CHECK: &str = "restarted";
    let Some(slurmd) = &slurm.slurmd else {
        return Finding::warn(CHECK, "slurmd does not run", "systemctl start slurmd");
    };
    match slurmd.mapped(node, file) {
        Some(Mapped::No) => {
            let found = "slurmd has not loaded the plugin: jobs have no prolog of it";
            Finding::fail(CHECK, found, RESTART)
        }
        Some(Mapped::Replaced) => {
            let found = format!("slurmd has loaded a file that {} has replaced", file.display());
            Finding::warn(CHECK, found, RESTART)
        }
        Some(Mapped::Yes) | None => older(CHECK, node, slurmd, [file, &line.file]),
    }
}

fn older(check: &'static str, node: &Node, slurmd: &Slurmd, files: [&Path; 2]) -> Finding {
    let later = files.into_iter().find(|path| {
        let changed = changed(&node.at(path));
        changed.zip(slurmd.started).is_some_and(|(changed, started)| changed > started)
    });
    match later {
        None => Finding::ok(check, "slurmd has started since the plugin and its line were changed"),
        Some(path) => {
            let found = format!("{} has changed since slurmd started", path.display());
            Finding::warn(check, found, RESTART)
        }
    }
}

/// A package keeps the time at which the file was made (mtime); when it came here
/// is in ctime. In whole seconds, as a process's start is.
fn changed(file: &Path) -> Option<SystemTime> {
    let seconds = fs::metadata(file).ok()?.ctime();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests;
