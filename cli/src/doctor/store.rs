//! Where Podman keeps what it knows of running containers.

use super::account::User;
use super::{Finding, home};
use crate::node::Node;

const CHECK: &str = "podman-store";

/// Podman's first run writes where that is into its database, and all later ones go there (`mergeDBConfig` in
/// libpod/runtime.go). Without a session it is in /tmp, by names that differ with its release: the database is searched
/// for these, in the first megabytes, where the row is. It is SQLite's from Podman 5.0 on, else bolt's.
const SEARCH: &str = r#"
    conf=$0/.config/containers/storage.conf
    set -- "$1" "$0/.local/share/containers/storage" \
        "$([ ! -f "$conf" ] || sed -n 's/^[[:blank:]]*graphroot[[:blank:]]*=[[:blank:]]*"\(.*\)".*/\1/p' "$conf")"
    for root in "$2" "$3"; do
        for store in "$root/db.sql" "$root/libpod/bolt_state.db"; do
            [ -n "$root" ] && [ -f "$store" ] || continue
            at=$(head -c 16000000 "$store" |
                grep -aoE "/tmp/(storage-run|podman-run|containers-user|run)-$1/" | head -n 1)
            [ -z "$at" ] || echo "${at%/} $store"
        done
    done"#;

/// Of a user whom is asked about: it is theirs to cure.
pub(super) fn check(node: &Node, user: &User) -> Finding {
    let said = match home::as_user(node, user, SEARCH) {
        Ok(said) => said,
        Err(error) => {
            let found = format!("Podman's database cannot be read: {error}");
            return Finding::warn(CHECK, found, "see to the user's home");
        }
    };
    let first = said.lines().next().and_then(|line| line.split_once(' '));
    first.map_or_else(
        || Finding::ok(CHECK, "what Podman runs is written down in the session"),
        |(place, store)| remembered(&user.name, place, store),
    )
}

fn remembered(name: &str, place: &str, store: &str) -> Finding {
    let found = format!(
        "Podman keeps what it runs in {place}, from a run before there was a session: there it outlives jobs, \
         and containers that ended with them count as running"
    );
    let cure =
        format!("as {name}, in a job: podman rm --all --force; rm {store} (the images stay)");
    Finding::warn(CHECK, found, cure)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::account::tests::erin;
    use super::super::tests::assert_finding;
    use super::*;
    use crate::node::made_up::{MadeUp, node};
    use crate::tools::Real;

    const STORE: &str = "/home/erin/.local/share/containers/storage";

    fn found(mut made_up: MadeUp) -> Finding {
        made_up.node.tools = Box::new(Real);
        let home = made_up.node.at("/home/erin").display().to_string();
        check(&made_up.node, &User { asks: true, home, ..erin() })
    }

    /// Show that a database which remembers /tmp is named, of each kind and wherever the store is, with what removes it.
    #[test]
    fn what_is_remembered_is_named() {
        let row = |at: &str| {
            format!(
                "SQLite\0\u{1}linux{STORE}/libpod{at}/libpod/tmp{STORE}{at}/containersoverlay\0"
            )
        };
        let with = |file: &str, at: &str| found(node().with(file, row(at)));
        let sqlite = with(&format!("{STORE}/db.sql"), "/tmp/storage-run-4711");
        let words = [
            "in /tmp/storage-run-4711, from a run",
            "as erin, in a job",
            "storage/db.sql (the images stay)",
        ];
        assert_finding(&sqlite, State::Warn, &words);
        let bolt = with(&format!("{STORE}/libpod/bolt_state.db"), "/tmp/podman-run-4711");
        assert_finding(&bolt, State::Warn, &["/tmp/podman-run-4711,", "libpod/bolt_state.db"]);
        for well in ["/run/user/4711", "/tmp/storage-run-471", "/tmp/storage-run-47110"] {
            assert_finding(&with(&format!("{STORE}/db.sql"), well), State::Ok, &["in the session"]);
        }
        assert_finding(&found(node()), State::Ok, &["in the session"]);
        let elsewhere = node().with("/local/db.sql", row("/tmp/storage-run-4711"));
        let conf =
            format!("[storage]\n  graphroot = \"{}\"\n", elsewhere.node.at("/local").display());
        let elsewhere = elsewhere.with("/home/erin/.config/containers/storage.conf", conf);
        assert_finding(&found(elsewhere), State::Warn, &["/local/db.sql"]);
    }

    /// Show that a database that cannot be looked for is no well one.
    #[test]
    fn unknown_is_not_well() {
        let silent = node().with_tools([("setpriv", Err("no answer in 30 s"))]);
        assert_finding(&check(&silent.node, &erin()), State::Warn, &["no answer in 30 s"]);
    }
}
