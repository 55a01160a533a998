//! The demo's words.
use super::Runs;
use super::measured::{Limit, Measured, Place};
use super::promise::KILLED;
use super::table::{self, Row};
use super::trial::{BIG_MB, JOBS_MB, STALE};

const FIRST_COMMAND: &str = "the job's first command: systemctl --user is-system-running --wait";

const COLUMNS: [&str; 3] = ["WITHOUT the plugin", "WITH the plugin", "WITH session=job"];

/// What is the same for all runs, the table, and the warnings in full.
pub(super) fn of(runs: &Runs) -> String {
    format!(
        "\nThe same Podman job, submitted three times with the variables of a login node's session:\n  \
         {}\n\n{}{}",
        STALE.join("\n  "),
        table::draw(&rows(runs)),
        warnings(runs)
    )
}

fn columns(runs: &Runs) -> [&Measured; 3] {
    [&runs.without, &runs.shared, &runs.own]
}

fn rows(runs: &Runs) -> Vec<Row> {
    let row = |what: &str, show: fn(&Measured) -> String| {
        let [without, shared, own] = columns(runs).map(show);
        [what.into(), without, shared, own]
    };
    let too_much = format!("{BIG_MB} MB in a container of this job of {JOBS_MB} MB");
    let mut head = row("", |run| format!("job {} of {}", run.job, run.user));
    for (cell, column) in head.iter_mut().skip(1).zip(COLUMNS) {
        *cell = format!("{column}\n{cell}");
    }
    vec![
        head,
        row("XDG_RUNTIME_DIR in the job", |run| place(&run.runtime_dir)),
        row("DBUS_SESSION_BUS_ADDRESS", |run| place(&run.bus)),
        row(FIRST_COMMAND, |run| run.first.clone()),
        row("podman run", running),
        row("Podman's warnings", |run| run.warnings.len().to_string()),
        row("Podman's cgroup manager", |run| run.manager.clone()),
        row("the container's cgroup", |run| shorten(&run.cgroup)),
        row("its memory is limited to", limited),
        row(&too_much, |run| ended(&run.big)),
        row("podman run -d … sleep 300", detached),
        row("the node before the job", |run| listed(&run.before)),
        row("… seen in the job", |run| listed(&run.during)),
        row("… after the job", |run| listed(&run.after)),
    ]
}

fn place(place: &Place) -> String {
    match (place.value.as_str(), place.exists) {
        ("", _) => "not set".to_owned(),
        (value, true) => format!("{value}\nexists"),
        (value, false) => format!("{value}\ndoes not exist"),
    }
}

fn listed(look: &str) -> String {
    look.replace(", ", "\n")
}

fn running(run: &Measured) -> String {
    let Some(refusal) = &run.refusal else { return "runs".to_owned() };
    format!("refuses: {refusal}\nAfter the job has unset both variables: runs")
}

fn limited(run: &Measured) -> String {
    let Some(Limit { mb, cgroup }) = &run.limit else { return "nothing".to_owned() };
    format!("{mb} MB, by\n{cgroup}")
}

fn detached(run: &Measured) -> String {
    let after = match run.detached_after.as_str() {
        "gone" => "gone with the job",
        "runs" => "runs on after the job",
        other => other,
    };
    format!("in the job: {}\n{after}", run.detached)
}

fn ended(status: &str) -> String {
    match status {
        "0" => "succeeds".to_owned(),
        KILLED => format!("killed (exit status {KILLED})"),
        other => format!("fails (exit status {other})"),
    }
}

/// The id of a container has 64 digits, of which Podman itself shows 12.
fn shorten(cgroup: &str) -> String {
    const SHOWN: usize = 12;
    let Some((start, rest)) = cgroup.split_once("libpod-") else { return cgroup.to_owned() };
    let digits = rest.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(rest.len());
    let (id, end) = rest.split_at(digits);
    match id.get(..SHOWN) {
        Some(shown) if id.len() > SHOWN => format!("{start}libpod-{shown}…{end}"),
        _ => cgroup.to_owned(),
    }
}

fn warnings(runs: &Runs) -> String {
    let of = |(run, column): (&Measured, &str)| {
        let kinds = run.kinds_of_warnings().into_iter().map(table::item).collect::<Vec<_>>();
        (!kinds.is_empty())
            .then(|| format!("\nPodman's warnings {column}:\n{}\n", kinds.join("\n")))
    };
    columns(runs).into_iter().zip(COLUMNS).filter_map(of).collect()
}

/// What the table does not show, and what to do next.
pub(super) fn next(plugin: &str) -> String {
    format!(
        "
Podman moves its containers out of the job's cgroup: that is how it works with systemd. The plugin
holds the user's slice to what the job may use there, and ends with the job what it left. With
session=job systemd is in the job's cgroup, and so are they. See docs/how-it-works.md; which of the
two to choose is in README.md, and what remains in docs/limits.md.

Try it by hand, on a node that stays up:
  cargo xtask vm up trixie
  cargo xtask vm push trixie --plugin {plugin}
  cargo xtask vm ssh trixie
That is a shell of root's. In it, run a job as bob:
  cd ~bob
  setpriv --reuid=bob --regid=bob --init-groups --reset-env \\
    srun podman run --rm --network=none localhost/busybox id
The other kind of session, from the next job on:
  echo optional spank_linger.so session=job >/etc/slurm/plugstack.conf.d/linger.conf
Back on this machine, see the logs, and end the node:
  cargo xtask vm logs trixie
  cargo xtask vm down trixie
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::measured::tests::runs;

    /// Show that each run has its column, and what differs between the kinds of session is in it.
    #[test]
    fn each_run_has_a_column() {
        let shown = of(&runs());
        let row = |begins: &str| {
            let (_, row) = shown.split_once(&format!("\n{begins}")).unwrap();
            row.split_once("-+-").unwrap().0.to_owned()
        };
        for (begins, cells) in [
            (" ", ["WITHOUT the plugin", "WITH the plugin", "WITH session=job"]),
            ("Podman's cgroup", ["cgroupfs", "systemd", "systemd"]),
            ("… seen in the job", ["linger off", "linger on", "linger off"]),
        ] {
            let row = row(begins);
            let found = cells.map(|cell| row.match_indices(cell).count());
            assert!(found.iter().all(|count| *count > 0), "{cells:?} in {row}");
        }
        assert!(
            shown.contains("Podman's warnings WITHOUT the plugin:\n  - no session\n"),
            "{shown}"
        );
        assert_eq!(shown.matches("Podman's warnings W").count(), 1, "{shown}");
    }

    /// Show that the id of a container is cut as Podman cuts it, and nothing else.
    #[test]
    fn a_container_id_is_shortened() {
        let id = "0123456789ab".to_owned() + &"c".repeat(52);
        let cgroup = format!("/user.slice/libpod-{id}.scope/container");
        assert_eq!(shorten(&cgroup), "/user.slice/libpod-0123456789ab….scope/container");
        assert_eq!(shorten("/system.slice/job_1"), "/system.slice/job_1");
    }
}
