//! What one run of the demo's job measured.
use anyhow::{Context, Result};

/// Everything that the table shows of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) user: String,
    pub(super) uid: String,
    pub(super) job: String,
    pub(super) runtime_dir: Place,
    pub(super) bus: Place,
    /// What the job's first command printed.
    pub(super) first: String,
    /// What Podman said if it did not run with the job's variables as they were.
    pub(super) refusal: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) manager: String,
    pub(super) cgroup: String,
    /// What the container may use at most, and by whose limit.
    pub(super) limit: Option<Limit>,
    /// The exit status of a container that used more than the job may.
    pub(super) big: String,
    /// Whether the detached container ran, in the job and after it.
    pub(super) detached: String,
    pub(super) detached_after: String,
    pub(super) before: String,
    pub(super) during: String,
    pub(super) after: String,
}

/// A variable of the job, and whether it leads anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) value: String,
    pub(super) exists: bool,
}

/// A limit of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) mb: u64,
    pub(super) cgroup: String,
}

impl Limit {
    fn parse(said: &str) -> Option<Self> {
        let (bytes, cgroup) = said.split_once(' ')?;
        Some(Self { mb: bytes.parse::<u64>().ok()? >> 20, cgroup: cgroup.to_owned() })
    }
}

impl Measured {
    /// From what the node said around the job and in it: lines NAME=VALUE.
    ///
    /// # Errors
    /// A line is missing.
    pub(super) fn parse(user: &str, said: &str) -> Result<Self> {
        let find = |name: &str| values(said, name).next();
        let need =
            |name: &str| find(name).with_context(|| format!("{user}'s job: no {name} in: {said}"));
        let place = |name: &str| {
            let exists = find(&format!("{name}_exists")).is_some();
            need(name).map(|value| Place { value, exists })
        };
        Ok(Self {
            user: user.to_owned(),
            uid: need("uid")?,
            job: need("job")?,
            runtime_dir: place("runtime_dir")?,
            bus: place("bus")?,
            first: need("first")?,
            refusal: find("refusal"),
            warnings: values(said, "warning").map(|line| message(&line)).collect(),
            manager: need("manager")?,
            cgroup: need("cgroup")?.trim_start_matches("0::").to_owned(),
            limit: Limit::parse(&need("limit")?),
            big: need("big")?,
            detached: need("detached")?,
            detached_after: need("after_detached")?,
            before: need("before")?,
            during: need("during")?,
            after: need("after")?,
        })
    }

    /// The texts of the warnings, each once.
    pub(super) fn kinds_of_warnings(&self) -> Vec<&str> {
        let mut kinds = Vec::new();
        for warning in &self.warnings {
            if !kinds.contains(&warning.as_str()) {
                kinds.push(warning.as_str());
            }
        }
        kinds
    }
}

fn values(said: &str, name: &str) -> impl Iterator<Item = String> {
    let prefix = format!("{name}=");
    said.lines().filter_map(move |line| line.strip_prefix(&prefix).map(ToOwned::to_owned))
}

/// The text in a log line of Podman's: `time="…" level=warning msg="…"`.
fn message(line: &str) -> String {
    let text = line.split_once("msg=").map_or(line, |(_, text)| text);
    text.trim_matches('"').replace("\\\"", "\"")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::demo::Runs;

    /// A run as the plugin promises it.
    pub(in super::super) const PROMISED: &str = "uid=1002\nbefore=linger off\nfirst=running\n\
        job=7\nduring=linger on, user@1002.service active, /run/user/1002 there\n\
        runtime_dir=/run/user/1002\nruntime_dir_exists=yes\n\
        bus=unix:path=/run/user/1002/bus\nbus_exists=yes\n\
        cgroup=0::/user.slice/user-1002.slice/libpod-0a.scope\nmanager=systemd\n\
        limit=419430400 /user.slice/user-1002.slice\nbig=137\ndetached=runs\n\
        after=linger off\nafter_detached=gone\n";

    /// The same with a session in the job's own cgroup.
    pub(in super::super) const OWN: &str = "uid=1003\nbefore=linger off\nfirst=running\n\
        job=8\nduring=linger off, user@1003.service inactive, /run/user/1003 there\n\
        runtime_dir=/run/user/1003\nruntime_dir_exists=yes\n\
        bus=unix:path=/run/user/1003/bus\nbus_exists=yes\n\
        cgroup=0::/system.slice/n1_slurmstepd.scope/job_8/step_extern/user/session/user.slice/libpod-0a.scope\n\
        manager=systemd\nlimit=419430400 /system.slice/n1_slurmstepd.scope/job_8\nbig=137\n\
        detached=runs\nafter=linger off\nafter_detached=gone\n";

    /// A run without the plugin.
    pub(in super::super) fn control() -> Measured {
        let said = PROMISED.replace("=running", "=offline").replace("=systemd", "=cgroupfs");
        let said = said.replace("during=linger on", "during=linger off");
        Measured::parse("alice", &format!("{said}warning=msg=\"no session\"\n")).unwrap()
    }

    /// All of them as promised.
    pub(in super::super) fn runs() -> Runs {
        let parsed = |user, said| Measured::parse(user, said).unwrap();
        Runs { without: control(), shared: parsed("bob", PROMISED), own: parsed("carol", OWN) }
    }

    /// Show that every line finds its place.
    #[test]
    fn lines_become_values() {
        let measured = Measured::parse("bob", PROMISED).unwrap();
        assert_eq!(measured.cgroup, "/user.slice/user-1002.slice/libpod-0a.scope");
        assert_eq!(measured.runtime_dir, Place { value: "/run/user/1002".into(), exists: true });
        let cgroup = "/user.slice/user-1002.slice".into();
        assert_eq!(measured.limit, Some(Limit { mb: 400, cgroup }));
        assert_eq!((measured.refusal, measured.warnings.len()), (None, 0));
    }

    /// Show that what the job did not say is an error and never made up.
    #[test]
    fn nothing_is_made_up() {
        let silent = PROMISED.replace("manager=", "nothing=");
        let error = Measured::parse("bob", &silent).unwrap_err();
        assert!(error.to_string().starts_with("bob's job: no manager in"), "{error}");
    }

    /// Show that a warning is read out of its log line, and told once.
    #[test]
    fn warnings_are_told_once() {
        let line = r#"warning=time="2026" level=warning msg="no \"session\" here""#;
        let measured = Measured::parse("bob", &format!("{PROMISED}{line}\n{line}\n")).unwrap();
        assert_eq!(measured.warnings.len(), 2);
        assert_eq!(measured.kinds_of_warnings(), [r#"no "session" here"#]);
    }
}
