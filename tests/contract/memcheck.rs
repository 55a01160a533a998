//! Memcheck over a cold prolog and a last epilog with the node's own bus.

use cluster_tests::N1;

use crate::place::{cold_node, stepd};

/// An emulated node takes a minute for what valgrind makes of a callback.
const ARGUMENTS: &str = "timeout=400 on_error=drain";

const UNDER: &str = "patience=500\n\
    under='valgrind --error-exitcode=99 --trace-children=no --leak-check=no --num-callers=40 \
    --log-file=/tmp/contract/memcheck'\n";

/// What memcheck said of a prolog or an epilog.
struct Check {
    log: String,
    contexts: u32,
}

fn check(callback: &str, plugin: bool) -> Check {
    let (stepd, line) =
        (stepd(ARGUMENTS), if plugin { "" } else { ": >/tmp/contract/plugstack.conf\n" });
    let script = format!("{stepd}{line}{UNDER}stepd {callback}; cat /tmp/contract/memcheck");
    let output = N1.sh_within(1200, &script).ok();
    let opened = output.stdout.contains("open session: done in");
    assert_eq!(opened, plugin && callback == "prolog", "{output:?}");
    let summary = output.stdout.lines().find_map(|line| line.split_once("ERROR SUMMARY: "));
    println!("{callback}, plugin {plugin}: {summary:?}");
    let contexts = summary.and_then(|(_, counts)| counts.split(' ').nth(3)?.parse().ok());
    Check { contexts: contexts.expect("memcheck's summary"), log: output.stdout }
}

/// Show that memcheck finds nothing in the plugin, and no more in slurmstepd with it
/// than without.
#[test]
fn memcheck_finds_nothing() {
    let before = cold_node();
    for callback in ["prolog", "epilog"] {
        let (control, ours) = (check(callback, false), check(callback, true));
        assert_eq!(ours.contexts, control.contexts, "{}", ours.log);
        assert!(!ours.log.contains("spank_linger.so)"), "{}", ours.log);
    }
    N1.is_again(&before);
}
