//! What docs/users-more.md promises, as far as one job can show it.

use std::sync::LazyLock;

use cluster_tests::{AtEnd, N1, Output, has_own_sessions, skipped};

use super::doc::{example, file, path};
use super::programs::lacks_more;
use super::{Ran, SERVED, run_with};

/// Asks Docker's API for what runs, as Compose would, in Docker's own words.
const IN_DOCKERS_WORDS: &str = r#"
perl -MSocket -e '
    socket my $docker, PF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
    connect $docker, sockaddr_un($ENV{DOCKER_HOST} =~ s,^unix://,,r) or die "connect: $!";
    syswrite $docker, "GET /v1.40/version HTTP/1.0\r\n\r\n";
    print while <$docker>'"#;

/// What Compose has not taken away.
const LEFT: &str = "\necho left: $(podman ps --all --quiet --filter=name=shop).";

/// On the bus that `dbus-run-session` starts.
const ON_ANOTHER_BUS: &str = "\
    dbus-run-session -- systemd-run --user --wait --pipe --quiet echo in a unit || echo refused";

static MORE: LazyLock<Ran> = LazyLock::new(|| {
    let plain = |name| (name, example(name).to_owned());
    run_with(
        "--mem=600 --ntasks=2 --cpus-per-task=1",
        &[
            plain("exec"),
            plain("memory"),
            ("no memory", example("memory").replace(" --memory=${memory}m", "")),
            plain("desktop"),
            ("another bus", ON_ANOTHER_BUS.to_owned()),
            plain("xstartup"),
            ("socket", format!("{}{IN_DOCKERS_WORDS}", example("socket"))),
            ("compose", format!("{}{}{LEFT}", file("compose.yaml"), example("compose"))),
            plain("ulimit"),
        ],
    )
});

/// A shared session where administrators have raised a limit.
static RAISED: LazyLock<Ran> = LazyLock::new(|| {
    let _end = AtEnd(format!("rm {}; systemctl daemon-reload", path("limits.conf")));
    N1.sh(&format!("{}systemctl daemon-reload", file("limits.conf"))).ok();
    let ran = run_with("--mem=100", &[("ulimit", example("ulimit").to_owned())]);
    N1.is_again(&ran.before);
    ran
});

fn more(name: &str) -> Output {
    MORE.said.section(name)
}

/// Show that each task runs a program in the one container of its node.
#[test]
fn tasks_share_a_container() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let said = more("exec").ok().never_says("level=");
    let mut tasks: Vec<_> = said.stdout.lines().filter(|line| line.starts_with("task ")).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["task 0", "task 1"], "{said:#?}");
}

/// Show that a container finds the memory of its job where it looks for its own, and nothing unless it is told.
#[test]
fn programs_find_their_jobs_memory() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    assert_eq!(more("no memory").ok().stdout, "max\n");
    assert_eq!(more("memory").ok().stdout, format!("{}\n", 600 << 20));
    let ran = run_with(
        "--mem-per-cpu=100 --ntasks=1 --cpus-per-task=2",
        &[("memory", example("memory").to_owned())],
    );
    assert_eq!(ran.said.section("memory").ok().stdout, format!("{}\n", 200 << 20));
    N1.is_again(&ran.before);
}

/// Show that what has a bus of its own, as a desktop has, finds the session's again, and that there are no units on
/// its own.
#[test]
fn desktops_find_the_sessions_bus() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let said = more("desktop").ok().never_says("level=");
    said.says("in a unit\n").says("in a container\n");
    more("another bus").ok().says("refused\n").never_says("in a unit");
    more("xstartup").ok().says("in a unit\n");
}

/// Show that Podman answers at its socket, in its own words and in Docker's.
#[test]
fn podman_answers_at_its_socket() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let said = more("socket").ok().says("by the socket\n").says("200 OK");
    said.says("\"ApiVersion\"");
}

/// Show that Compose has its containers meet by that socket, and takes them away.
#[test]
fn compose_speaks_to_the_socket() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let said = more("compose").ok().says("left: .\n");
    assert!(said.stdout.contains(SERVED.trim()), "{said:#?}");
}

/// Show that a unit has the limit that it asks for; that of the memory which stays it has what systemd gives a shared
/// session, until administrators raise it, and of a job's own session what slurmd has.
#[test]
fn units_have_limits_of_their_own() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let limits = |said: Output| {
        let said = said.ok();
        let lines: Vec<_> = said.stdout.lines().map(str::to_owned).collect();
        assert_eq!(lines.first().map(String::as_str), Some("4096"), "{said:#?}");
        lines.get(1).cloned().unwrap_or_default()
    };
    let unlimited = "unlimited".to_owned();
    if has_own_sessions() {
        return assert_eq!(limits(more("ulimit")), unlimited);
    }
    // 8 MB in kB.
    assert_eq!(limits(more("ulimit")), "8192");
    assert_eq!(limits(RAISED.said.section("ulimit")), unlimited);
}

/// Show that nothing of all that is left on the node.
#[test]
fn nothing_more_is_left() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.is_again(&MORE.before);
}
