//! What whoever reads that a test failed needs first: the logs of the node since the test began.

use std::cell::Cell;
use std::env;
use std::panic;
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{N1, NODES, PATIENCE_S};

thread_local! {
    /// When this thread's test first spoke to a node; none when it has failed.
    static BEGAN: Cell<Option<SystemTime>> = const { Cell::new(None) };
}

/// A node's clock may be behind ours.
const MARGIN: Duration = Duration::from_secs(3);

/// Slurm's lines begin with their time, so that they sort by it; the journal has systemd's and logind's.
const LOGS: &str = r#"
since=$(date --date=@$began +%Y-%m-%dT%H:%M:%S)
for log in slurmd slurmctld; do
    echo "--- $log since the test began, the last of it:"
    awk -v since="[$since" '$0 >= since' /var/log/slurm/$log.log |
        grep --extended-regexp 'linger|error|drain|kill|epilog|prolog' | tail --lines=60
done
echo "--- systemd, logind and the users' managers:"
journalctl --quiet --no-pager --output=short-precise --since=@$began _PID=1 + _COMM=systemd-logind \
    + _COMM=systemd | grep --invert-match ssh | tail --lines=60
"#;

/// Notes when the test of this thread began, and has a panic of it print the logs since, after its own
/// words.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            usual(panic);
            // Once: what is done at the end of a test that failed may fail, too.
            if let Some(began) = BEGAN.take() {
                println!("{}", logs_since(began));
            }
        }));
    });
    if BEGAN.get().is_none() {
        BEGAN.set(Some(SystemTime::now()));
    }
}

/// It may not panic itself: the process would end at once.
fn logs_since(began: SystemTime) -> String {
    if env::var_os(NODES).is_none() {
        return String::new();
    }
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(MARGIN);
    let script = format!("began={}{LOGS}", began.as_secs());
    let said = N1.ssh(PATIENCE_S).args(["bash", "-c", &quoted(&script)]).output();
    said.map_or_else(
        |error| format!("no logs: {error}"),
        |said| String::from_utf8_lossy(&said.stdout).into_owned(),
    )
}

/// For the shell that ssh hands its command to.
fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', "'\\''"))
}

/// Where two texts differ: the lines of one that are not in the other, in both directions.
pub(crate) fn difference(before: &str, now: &str) -> String {
    let only = |own: &str, other: &str, mark: char| {
        let lines = own.lines().filter(|line| !other.lines().any(|it| it == *line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<Vec<_>>().concat()
    };
    only(before, now, '-') + &only(now, before, '+')
}
