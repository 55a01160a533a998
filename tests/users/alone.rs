//! What docs/users-more.md promises and takes jobs of its own: what outlives one, or is not to.

use cluster_tests::{
    AtEnd, Batch, GO, LIVE, Login, N1, QUICK, has_own_sessions, leaves_nothing, many, skipped,
};

use super::doc::{example, file, path};
use super::programs::lacks_more;

/// A job that is waited for, and then the node is as before.
fn in_a_job(scripts: &[(&str, String)]) -> cluster_tests::Output {
    let ran = super::run_with("--mem=300 --cpus-per-task=1", scripts);
    N1.is_again(&ran.before);
    ran.said
}

/// Show that a container of a step hears the signal that Slurm sends before the time is up, writes down where it is,
/// and goes on from there when its job runs again.
#[test]
fn a_job_goes_on_after_its_time() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let _end = AtEnd("rm -rf ~alice/count".to_owned());
    N1.sh_as("alice", &file("count.sh")).ok();
    let before = N1.snapshot();
    // Slurm looks every half minute whose time is up: the whole of it takes two minutes.
    let waits = many(0, 1) == 1;
    let options = if waits { "--time=3 --mem=200" } else { "--mem=200" };
    let job = Batch::of("alice", example("checkpoint")).with(options).start();
    job.wait_says("goes on at 0");
    if !waits {
        N1.sh(&format!("sleep 4; scancel --signal=USR1 {}", job.0)).ok();
    }
    job.wait_pending();
    let reached = N1.sh("cat ~alice/count/n").ok().stdout;
    N1.sh(&format!("scontrol update jobid={} starttime=now", job.0)).ok();
    job.wait_counts("goes on at", 2);
    job.cancel();
    assert_ne!(reached.trim(), "0", "{:#?}", job.output());
    job.output().says(&format!("goes on at {reached}"));
    N1.is_again(&before);
}

/// Show that a container that was asked for by Podman's socket belongs to no single job where the session is shared,
/// and ends with the last one; and that it ends with its job where that has a session of its own.
#[test]
fn what_the_socket_starts_is_the_sessions() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let keeper = Batch::of("alice", &format!("echo up\n{GO}")).with("--mem=100").start();
    keeper.wait_says("up");
    let script = format!(
        "{}\npodman --remote --url=$DOCKER_HOST run --detach --replace --name=asked --network=none \
         localhost/busybox sleep 7306",
        example("socket")
    );
    let asked = Batch::of("alice", &script).with("--mem=200").start();
    asked.wait_over();
    asked.output().says("by the socket\n");
    if has_own_sessions() {
        N1.sees_the_end_of("sleep 7306");
    } else {
        assert!(N1.runs("sleep 7306"), "it has ended with the job that asked for it");
    }
    keeper.go_to_its_end();
    N1.sees_the_end_of("sleep 7306");
    N1.is_again(&before);
}

/// Show that a container that its user has restarted by systemd is back in the next job, and not in one on a host that
/// the unit is not for.
#[test]
fn what_is_enabled_is_for_the_hosts_it_names() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let _end = AtEnd("rm -rf ~alice/.config/systemd".to_owned());
    let before = N1.snapshot();
    let job = |script: &str| Batch::of("alice", script).with("--mem=200").run().ok();
    job("systemctl --user --quiet enable podman-restart.service
        podman run --detach --name=again --replace --restart=always --network=none localhost/busybox sleep 7311");
    N1.sees_the_end_of("sleep 7311");
    let looks = "systemctl --user is-system-running --wait
        echo found=$(podman ps --quiet --filter=name=again | wc --lines).";
    assert_eq!(job(looks).value("found="), "1.");
    N1.sees_the_end_of("sleep 7311");
    N1.sh_as("alice", &file("host.conf")).ok();
    assert_eq!(job(&format!("{looks}\npodman rm --force again")).value("found="), "0.");
    N1.settles();
    N1.is_again(&before);
}

/// A registry that lets in who says `alice:secret`.
const REGISTRY: &str = r#"
cat >~/registry <<'END'
use strict; use Socket;
socket my $door, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
setsockopt $door, SOL_SOCKET, SO_REUSEADDR, 1;
bind $door, sockaddr_in(5005, INADDR_LOOPBACK) or die "bind: $!";
listen $door, 9 or die "listen: $!";
while (accept my $caller, $door) {
    sysread $caller, my $asked, 65536;
    my $says = $asked =~ /^Authorization: Basic YWxpY2U6c2VjcmV0\r/mi
        ? '200 OK' : qq(401 Unauthorized\r\nWWW-Authenticate: Basic realm="test");
    syswrite $caller, "HTTP/1.1 $says\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    close $caller;
}
END
perl ~/registry & registry=$!
until (: </dev/tcp/127.0.0.1/5005) 2>/dev/null; do sleep 0.1; done
"#;

/// Show that a login to a registry is there in the next job with a session of its own if it was kept at home, and
/// not if it was kept where Podman keeps it by itself.
#[test]
fn a_login_to_a_registry_lasts() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let kept = "~alice/.config/containers/auth.json";
    let _end = AtEnd(format!("rm --force {kept} ~alice/token ~alice/registry"));
    let here = |name| example(name).replace("registry.example.com", "localhost:5005");
    let at_home = here("login").replace("podman login", "podman login --tls-verify=false");
    let in_session = at_home.replace("--authfile=$HOME/.config/containers/auth.json", "");
    assert_ne!(at_home, in_session);
    for (login, is_found) in [(in_session, false), (at_home, true)] {
        let script = format!(
            "{REGISTRY}trap 'kill $registry' EXIT; printf wrong >~/token\n{login} && exit 1\n\
             printf secret >~/token\n{login}\n{}",
            here("get-login")
        );
        let said = in_a_job(&[("login", script)]).section("login").ok();
        assert_eq!(said.stdout.lines().last(), Some("alice"), "{said:#?}");
        let said = in_a_job(&[("get-login", here("get-login"))]).section("get-login");
        assert_eq!((said.succeeded(), said.stdout == "alice\n"), (is_found, is_found), "{said:#?}");
    }
}

/// Show that images are where the user's storage.conf has them, brought there from an archive, and that the next job
/// finds them.
#[test]
fn images_are_on_a_disk_of_the_node() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let tidy = "rm -rf ~alice/.config/containers/storage.conf ~alice/busybox.tar /var/tmp/alice";
    let _end = AtEnd(tidy.to_owned());
    N1.sh(tidy).ok();
    assert_eq!(path("storage.conf"), "~/.config/containers/storage.conf");
    let load = format!("{}\npodman info --format '{{{{.Store.GraphRoot}}}}'", example("load"));
    let said = in_a_job(&[
        ("save", example("save").to_owned()),
        ("file", file("storage.conf")),
        ("load", load.clone()),
    ]);
    said.section("save").ok();
    let said = said.section("load").ok().says("Loaded image");
    said.says("from a disk of the node\n/var/tmp/alice/storage\n").never_says("level=");
    let said = in_a_job(&[("load", load)]).section("load").ok();
    assert_eq!(said.stdout, "from a disk of the node\n/var/tmp/alice/storage\n", "{said:#?}");
}

/// Show that a login by an sshd that a job has started is in the job: in its session, by its audit id, and over with
/// it, with what it has left in the session.
#[test]
fn a_users_own_sshd_is_in_its_job() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let _end = AtEnd("rm --force ~alice/.ssh/job_host_key*".to_owned());
    let before = N1.snapshot();
    let script = format!("echo id=$(cat /proc/self/sessionid)\n{}", example("sshd"));
    let job = Batch::of("alice", &script).with("--mem=200").start();
    job.wait_says("id=");
    N1.waits_until("( : </dev/tcp/127.0.0.1/2222 ) 2>/dev/null");
    let mut login = Login::by_port("alice", N1, 2222);
    assert_eq!(login.ask(LIVE), "running dir=/run/user/1001");
    let id = login.ask("echo $(cat /proc/self/sessionid)");
    assert_eq!(id, job.output().value("id="));
    assert_ne!(id, u32::MAX.to_string(), "the job has no audit id");
    let container = example("run").replace("podman run", "podman run 2>&1");
    assert_eq!(login.ask(&container), "in the container");
    let daemon = "systemd-run --user --scope --quiet setsid --fork sleep 7305";
    assert_eq!(login.ask(&format!("{daemon} </dev/null >/dev/null 2>&1; echo left")), "left");
    leaves_nothing(job, 7305);
    drop(login);
    N1.is_again(&before);
}
