//! What docs/users.md and docs/users-more.md promise: their blocks, run as they stand there.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod alone;
mod devices;
mod doc;
mod more;
mod programs;
mod terminal;

use std::sync::LazyLock;

use cluster_tests::{
    AtEnd, Batch, N1, Output, QUICK, as_user, has_own_sessions, sections, skipped,
};
use doc::{blocks, example, file, path};
use programs::{lacks, network};
use terminal::{beside, types};

/// What a container printed that was let in by another.
const SERVED: &str = "root:x:0:0:root:/root:/bin/sh\n";

/// What a job of alice's printed, and the node before it.
struct Ran {
    before: String,
    said: Output,
}

/// One after the other in a job: what takes a session of its own takes seconds.
fn run(scripts: &[(&str, String)]) -> Ran {
    run_with("--mem=800 --cpus-per-task=2", scripts)
}

/// The same, in a job with these options.
fn run_with(options: &str, scripts: &[(&str, String)]) -> Ran {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let job = Batch::of("alice", &sections(scripts)).with(options);
    Ran { said: job.run_within(1800).ok(), before }
}

/// A node as it is installed.
static PLAIN: LazyLock<Ran> = LazyLock::new(|| {
    let plain = |name| (name, example(name).to_owned());
    let with = |name, files: &[&str], more: &str| {
        let files: String = files.iter().map(|name| file(name)).collect();
        (name, format!("{files}{}\n{more}", example(name)))
    };
    let mut scripts = vec![
        plain("ask"),
        plain("run"),
        plain("build"),
        plain("pod"),
        with("pod-unit", &["web.service"], "pgrep --uid $UID --list-name httpd"),
        with("kube", &["kube.yaml"], ""),
        plain(network()),
        ("limits", format!("{} || echo ended with $?", example("limits"))),
        plain("status"),
        plain("service"),
        plain("journal"),
        with("template", &["part@.service"], "rm ~/part.*"),
        with("quadlet", &["box.container"], ""),
        plain("quadlet-dryrun"),
        with("timer", &[], "until rm ~/ticked 2>/dev/null; do sleep 0.2; done; echo ticked"),
    ];
    scripts.retain(|(name, _)| lacks(name).is_none());
    if N1.slurm() == "20.11" {
        // Without it Podman 3.0 builds no image.
        N1.sh("touch /etc/resolv.conf").ok();
    }
    run(&scripts)
});

/// A node with all that administrators can add.
static HELPED: LazyLock<Ran> = LazyLock::new(|| {
    let files = ["delegate.conf", "journald.conf"];
    let paths = files.map(path).join(" ");
    // Podman writes to a journal whose directory it may list, readable or not.
    let _end = AtEnd(format!("rm --force {paths}; {RELOAD}; rm --recursive /var/log/journal/*"));
    N1.sh(&format!("{}{RELOAD}; journalctl --flush", files.map(file).concat())).ok();
    // journald looks whose words they are when it reads them: who has ended by then is in no unit (systemd issue 2913).
    let patient = "for i in $(seq 50); do grep --fixed-strings \"job $SLURM_JOB_ID\" <<<\"$(";
    let (journal, again) = if has_own_sessions() {
        let named = "systemd-run --property=SyslogIdentifier=hello";
        (BY_NAME.to_owned(), example("service").replace("systemd-run", named))
    } else {
        (example("journal").to_owned(), example("service").to_owned())
    };
    let journal = format!(
        "{patient}{journal})\" && exit; sleep 0.2; [ $((i % 10)) != 0 ] || {{ {again}\n}}; done; exit 1"
    );
    run(&[("service", again), ("journal", journal), ("cpuset", example("cpuset").to_owned())])
});

/// In a job's own session the journal does not know the unit.
const BY_NAME: &str = "journalctl --user --identifier=hello";

const RELOAD: &str = "systemctl daemon-reload; systemctl restart systemd-journald";

/// What an example printed in the job without help, which found its session.
fn plain(name: &str) -> Output {
    PLAIN.said.section("ask").ok();
    PLAIN.said.section(name)
}

/// Show that no block is without a test, and no two have one name.
#[test]
fn every_block_has_a_test() {
    let tests = concat!(
        include_str!("main.rs"),
        include_str!("programs.rs"),
        include_str!("more.rs"),
        include_str!("alone.rs"),
        include_str!("devices.rs")
    );
    for (name, text) in blocks() {
        assert!(tests.contains(&format!("\"{name}\"")), "no test names this block: {text}");
        assert_eq!(example(name), text.trim_end(), "two blocks are {name}");
    }
}

/// Show that a container runs, with no warning.
#[test]
fn containers_run() {
    assert_eq!(plain("run").ok().stdout, "in the container\n");
}

/// Show that an image is built from a local one, and runs.
#[test]
fn images_are_built() {
    let said = plain("build").ok().never_says("level=warning");
    assert!(said.stdout.ends_with("\nbuilt in a job\n"), "{said:#?}");
}

/// Show that containers of a pod meet on localhost.
#[test]
fn pods_share_their_network() {
    if let Some(reason) = lacks("pod") {
        return skipped(reason);
    }
    plain("pod").ok().says(SERVED).never_says("level=warning");
}

/// Show that a unit starts that pod again after it was stopped.
#[test]
fn a_unit_starts_a_pod() {
    if let Some(reason) = lacks("pod-unit") {
        return skipped(reason);
    }
    plain("pod-unit").ok().says("\nactive\n").says(" httpd\n");
}

/// Show that a file of Kubernetes is played, and its containers reach each other.
#[test]
fn kube_files_are_played() {
    if let Some(reason) = lacks("kube") {
        return skipped(reason);
    }
    plain("kube").ok().says(SERVED).says("Pods removed");
}

/// Show that a published port of a container is reached on the node.
#[test]
fn ports_are_published() {
    if let Some(reason) = lacks(network()) {
        return skipped(reason);
    }
    plain(network()).ok().says(SERVED);
}

/// Show that the limits of a container are in its cgroup, and hold.
#[test]
fn containers_are_limited() {
    if let Some(reason) = lacks("limits") {
        return skipped(reason);
    }
    plain("limits").ok().says("50000 100000\n67108864\n").says("ended with 137\n");
}

/// Show that Podman refuses to choose CPUs on a node as it is, unless the session is in the job's cgroup, and that with
/// what administrators add a container has the one of its job's that it was given.
#[test]
fn cpus_are_chosen_where_cpuset_is_delegated() {
    // A job of its own: that of the other blocks would be run on a machine for this one alone.
    let said = run(&[("cpuset", example("cpuset").to_owned())]).said.section("cpuset");
    if has_own_sessions() {
        // In the job's cgroup there is all that Slurm has.
        assert_eq!(said.ok().stdout.lines().next(), Some("0"));
        return;
    }
    said.fails().says("cpuset");
    let said = HELPED.said.section("cpuset").ok();
    // Podman 3.0 may complain afterwards that what has ended cannot be killed.
    assert_eq!(said.stdout.lines().next(), Some("0"), "{said:#?}");
}

/// Show that the manager runs and shows what is in the session.
#[test]
fn the_manager_shows_its_status() {
    let said = plain("status").ok().says("running\n").says("dbus.service");
    if !has_own_sessions() {
        said.says("user@1001.service");
    }
}

/// Show that a service runs and is given a variable of the job, and that users may
/// read what it wrote where the journal is on disk, and nowhere else.
#[test]
fn journals_on_disk_are_read() {
    if let Some(reason) = lacks("service") {
        return skipped(reason);
    }
    plain("service").ok();
    plain("journal").says("insufficient permissions").never_says("hello from job");
    HELPED.said.section("journal").ok().says("hello from job");
}

/// Show that instances of a template run.
#[test]
fn templates_have_instances() {
    plain("template").ok().says("part 1 done\npart 2 done\n");
}

/// Show that a timer is listed, and elapses.
#[test]
fn timers_elapse() {
    plain("timer").ok().says("tick.timer").says("\nticked\n");
}

/// Show that a Quadlet file is a service that runs, and that its generator says
/// what it makes of the file.
#[test]
fn quadlet_files_are_services() {
    if let Some(reason) = lacks("quadlet") {
        return skipped(reason);
    }
    assert_eq!(plain("quadlet").ok().stdout, "active\n");
    plain("quadlet-dryrun").ok().says("---box.service---").says("httpd -f -h /etc");
}

/// Show that a shell of srun's is in the session, and that a container has its
/// terminal.
#[test]
fn srun_gives_a_terminal() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    types(example("srun")).ok().says("\nrunning\n").says("/dev/pts/0\n").never_says("warning");
    N1.is_again(&before);
}

/// Show that salloc leads to the session, by srun or by an interactive step.
#[test]
fn salloc_leads_to_the_session() {
    const WHERE: &str = "echo here: ${XDG_RUNTIME_DIR:-no session}";
    N1.configure(QUICK);
    let before = N1.snapshot();
    let lines = example("salloc").replace("\nexit", &format!("\n{WHERE}\nexit"));
    let said = types(&lines).ok().says("\nrunning\n");
    N1.is_again(&before);
    said.says("here: no session\n");
    if N1.slurm() != "24.11" {
        return println!("The shell on the node is Slurm's work: one release is enough.");
    }
    N1.with_slurm_conf(&["LaunchParameters=use_interactive_step"], || {
        types(&lines).ok().says("here: /run/user/1001\n");
        N1.is_again(&before);
    });
}

/// Looks at alice's tmux from outside, types in it, and ends it.
const IN_TMUX: &str = "\
    tmux() { STEP tmux -S /run/user/1001/tmux \"$@\"; }\n\
    until tmux list-clients 2>/dev/null | grep --quiet .; do sleep 0.2; done\n\
    tmux send-keys -t work 'echo typed $((41 + 1)) times' Enter\n\
    until grep --quiet --text 'typed 42 times' screen; do sleep 0.2; done\n\
    tmux kill-server";

/// Show that a job lasts as long as the tmux that it has started as a service, and
/// that it can be attached from the submit host.
#[test]
fn tmux_is_a_service() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let script = format!("{}{}", file("tmux.service"), example("tmux"));
    let job = Batch::of("alice", &script).start();
    let attach = example("attach").replace("JOB", &job.0.to_string());
    let attach = format!("TERM=xterm {attach}");
    let step = if has_own_sessions() {
        // The socket is in the job alone.
        let step = format!("srun --quiet --input=none --overlap --jobid={}", job.0);
        job.wait_running();
        let is_there = as_user("alice", &format!("{step} test -S /run/user/1001/tmux"));
        N1.waits_until(&format!("( {is_there} )"));
        step
    } else {
        N1.waits_until("[ -S /run/user/1001/tmux ]");
        "command".to_owned()
    };
    beside(&attach, &IN_TMUX.replace("STEP", &step)).says("typed 42 times");
    job.wait_over();
    assert_eq!(job.state(), "COMPLETED", "{:#?}", job.output());
    N1.is_again(&before);
}

/// Show that who declines is told nothing, runs containers without systemd, and
/// that a script that asks for the session learns that there is none.
#[test]
fn without_a_session_a_script_can_tell() {
    N1.configure(QUICK);
    // Podman remembers the run root of its first run, which may be a session's.
    N1.sh("rm -rf /home/bob/.local/share/containers/storage/{libpod,db.sql*}").ok();
    let manager = "systemctl --user is-system-running || echo no manager".to_owned();
    let scripts = ["run", "ask"].map(|name| (name, example(name).to_owned()));
    let script = sections(&[scripts.as_slice(), &[("manager", manager)]].concat());
    let job = Batch::of("bob", &script).with("--user-session=no").run().ok();
    assert_eq!(job.stderr, "");
    job.section("run").ok().says("in the container\n");
    job.section("ask").fails().says("no user session on n1\n");
    job.section("manager").says("no manager\n");
}

/// Show that a job whose session could not be opened has that line in its stderr.
#[test]
fn the_job_is_told_why_there_is_no_session() {
    let wording = |text: &str| -> String {
        let unnumbered = text.replace(|c: char| c.is_ascii_digit(), "");
        unnumbered.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    N1.configure(QUICK);
    if has_own_sessions() {
        let program = "/usr/lib/systemd/systemd";
        let end = AtEnd(format!("umount {program}"));
        N1.sh(&format!("mount --bind $(readlink --canonicalize /bin/false) {program}")).ok();
        let job = Batch::of("bob", "echo ran").run();
        drop(end);
        job.ok()
            .says("ran\n")
            .complains(": no user session on this node: ")
            .complains("it has ended");
        return;
    }
    let end = AtEnd("systemctl unmask --runtime user@.service".into());
    N1.sh("systemctl mask --runtime user@.service").ok();
    let job = Batch::of("bob", "echo ran").run();
    drop(end);
    let job = job.ok().says("ran\n");
    assert_eq!(wording(&job.stderr), wording(example("told")), "{job:#?}");
}

/// Show that nothing of all that is left on the node.
#[test]
fn nothing_is_left() {
    N1.is_again(&PLAIN.before);
    N1.is_again(&HELPED.before);
}
