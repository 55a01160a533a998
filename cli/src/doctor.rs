//! `spank-linger doctor`: the whole way from Slurm to Podman, a line each.

mod account;
mod elf;
mod home;
mod inside;
mod oomd;
mod own;
mod pam;
mod plugin;
mod podman;
mod proc;
mod session;
mod slurm;
pub(crate) mod slurmd;
mod store;
mod subids;
mod system;
mod systemd;
mod unkillable;
mod user;

use std::process::ExitCode;

use serde::Serialize;

use crate::Outcome;
use crate::node::Node;
use crate::paint::{Paint, Tone};
use account::User;
use slurm::Slurm;

/// Changes when a field goes or gets another meaning, not when one is added.
const VERSION: u32 = 1;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// Jobs may have less than they should.
    Warn,
    /// Jobs have no session, or not the one they should.
    Fail,
}

/// Major and minor, of systemd.
type Version = (u32, u32);

/// What was found about one thing, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The name of the check.
    check: &'static str,
    state: State,
    found: String,
    /// What to do about it.
    cure: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), cure: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), cure: Some(cure.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(check, found, cure) }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    /// The worst there is.
    state: State,
    checks: Vec<Finding>,
}

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Lines(Paint),
    /// Only lines of what is not well.
    Faults(Paint),
    Json,
}

/// Checks, and prints what was found. The code is 1 if something fails.
pub(crate) fn run(node: &Node, name: Option<&str>, form: Form) -> Outcome {
    let report = Report::of(examine(node, name));
    match form {
        Form::Lines(paint) => print!("{}", report.text(State::Ok, paint)),
        Form::Faults(paint) => print!("{}", report.text(State::Warn, paint)),
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            println!("{text}");
        }
    }
    Ok(if report.state == State::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The node first, then the user that is named, or who asks.
fn examine(node: &Node, name: Option<&str>) -> Vec<Finding> {
    let slurm = Slurm::of(node);
    let mut findings = slurm::checks(node, &slurm);
    findings.extend(plugin::checks(node, &slurm));
    findings.extend(system::checks(node, slurm.is_own()));
    findings.extend(own::checks(node, &slurm));
    findings.extend(systemd::checks(node, &slurm));
    match User::find(node, name) {
        Ok(Some(user)) => findings.extend(user::checks(node, &slurm, &user)),
        Ok(None) => {}
        Err(missing) => findings.push(missing),
    }
    findings
}

impl Report {
    fn of(checks: Vec<Finding>) -> Self {
        let state = checks.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
        Self { version: VERSION, state, checks }
    }

    /// Of what is as bad as that, or worse.
    fn text(&self, least: State, paint: Paint) -> String {
        let shown = || self.checks.iter().filter(|finding| finding.state >= least);
        let width = shown().map(|finding| finding.check.len()).max().unwrap_or(0);
        shown().map(|finding| finding.line(width, paint)).collect()
    }
}

impl Finding {
    fn line(&self, width: usize, paint: Paint) -> String {
        let Self { check, state, found, cure } = self;
        let state = match state {
            State::Ok => paint.paint(Tone::Good, "ok  "),
            State::Warn => paint.paint(Tone::Doubtful, "warn"),
            State::Fail => paint.paint(Tone::Bad, "fail"),
        };
        let cure = cure.as_ref().map(|cure| format!("; cure: {cure}")).unwrap_or_default();
        let said = format!("{found}{cure}").replace(char::is_control, "?");
        format!("{state}  {check:width$}  {said}\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::node::made_up::node;

    /// Requires a state, and these words in what was found and in the cure.
    pub(super) fn assert_finding(finding: &Finding, state: State, words: &[&str]) {
        let said = format!("{}; {}", finding.found, finding.cure.as_deref().unwrap_or_default());
        assert_eq!(finding.state, state, "{said}");
        assert_eq!(finding.cure.is_some(), state != State::Ok, "{said}");
        for word in words {
            assert!(said.contains(word), "no '{word}' in: {said}");
        }
    }

    /// The paths of all fields, with `[]` for any element of a list.
    fn fields(value: &Value, at: &str, into: &mut BTreeSet<String>) {
        into.insert(at.to_owned());
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    fields(member, &format!("{at}.{name}"), into);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    fields(element, &format!("{at}[]"), into);
                }
            }
            _ => {}
        }
    }

    /// Requires that docs/json.md has an example with exactly the fields of `real`
    /// behind the heading of that command.
    pub(crate) fn is_documented(command: &str, real: &Value) {
        let page = include_str!("../../docs/json.md");
        let heading = format!("## spank-linger {command} --json");
        let section = page.split(&heading).nth(1).unwrap();
        let example = section.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let example: Value = serde_json::from_str(example).unwrap();
        let [mut documented, mut printed] = [BTreeSet::new(), BTreeSet::new()];
        fields(&example, "", &mut documented);
        fields(real, "", &mut printed);
        assert_eq!(documented, printed);
        let names = printed.iter().filter_map(|field| field.rsplit('.').next());
        for name in names.map(|name| name.trim_end_matches("[]")).filter(|name| !name.is_empty()) {
            assert!(section.contains(&format!("`{name}`")), "{command}: no word about {name}");
        }
    }

    /// Show that the worst finding is the state of all, and that a line has its cure.
    #[test]
    fn the_worst_counts() {
        let bad = Finding::fail("plugin", "not found\n", "install it");
        let report = Report::of(vec![Finding::ok("cgroup", "v2"), bad]);
        assert_eq!(report.state, State::Fail);
        let expected = "ok    cgroup  v2\nfail  plugin  not found?; cure: install it\n".to_owned();
        assert_eq!(report.text(State::Ok, Paint::NONE), expected);
        assert!(report.text(State::Ok, Paint::ALL).contains("\u{1b}["));
        let faults = report.text(State::Warn, Paint::NONE);
        assert_eq!(faults, "fail  plugin  not found?; cure: install it\n");
        let well = Report::of(vec![Finding::ok("cgroup", "v2")]);
        assert_eq!(well.text(State::Warn, Paint::NONE), "");
    }

    /// Show that a machine with nothing on it fails, names each check once, and ends.
    #[test]
    fn an_empty_node_fails() {
        let findings = examine(&node().node, None);
        let names: BTreeSet<_> = findings.iter().map(|finding| finding.check).collect();
        assert_eq!(names.len(), findings.len());
        assert_eq!(Report::of(findings).state, State::Fail);
        let unknown = examine(&node().node, Some("no-such-user"));
        assert_finding(unknown.last().unwrap(), State::Fail, &["no-such-user", "getent"]);
    }

    /// The names of all checks that there are, whatever sessions jobs have.
    pub(crate) fn all_checks() -> BTreeSet<String> {
        let shared = plugin::tests::healthy();
        let own = plugin::tests::healthy()
            .with("/etc/slurm/plugstack.conf", "optional spank_linger.so session=job\n")
            .with("/sys/fs/cgroup/cgroup.controllers", "memory\n")
            .with("/run/spank-linger/0/12", r#"{"version":1,"state":"open","kind":"own"}"#);
        let findings = [shared, own].into_iter().flat_map(|it| examine(&it.node, Some("root")));
        findings.map(|finding| finding.check.to_owned()).collect()
    }

    /// Show that the documented example has the fields that are printed.
    #[test]
    fn the_documented_example_is_right() {
        let report = Report::of(examine(&node().node, None));
        is_documented("doctor", &serde_json::to_value(report).unwrap());
    }
}
