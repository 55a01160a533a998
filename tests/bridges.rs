//! Networks of a user's own, whose name server and namespace Podman starts once for all containers.
// Tests say what they expect by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use cluster_tests::{AtEnd, Batch, GO, N1, QUICK, Started, has_own_sessions};

/// A light node's kernel lacks what netavark's firewall is made of, and a node has no resolver.
const FILES: &str = "\
    [ -e /etc/resolv.conf ] || echo nameserver 10.0.2.3 >/etc/resolv.conf; \
    mkdir -p ~alice/.config/containers; \
    printf '[network]\\nfirewall_driver = \"none\"\\n' >~alice/.config/containers/containers.conf; \
    chown -R alice: ~alice/.config";

const NO_FILES: &str = "\
    rm -f ~alice/.config/containers/containers.conf ~alice/.config/containers/networks/meets.json \
        ~alice/.local/share/containers/storage/networks/meets.json; \
    grep --quiet 10.0.2.3 /etc/resolv.conf && rm /etc/resolv.conf";

/// Tools of the jobs: a container on the network, a program in one, and what that of a name answers.
const TOOLS: &str = r#"
start() { podman run --detach --replace --network=meets --name=$1 localhost/busybox sh -c "$2" >/dev/null; }
into() { systemd-run --user --scope --quiet podman exec "$@"; }
asks() { into $1 wget -qO- http://$2/passwd 2>/dev/null | head -n 1 || true; }
"#;

fn job(script: &str) -> Started {
    Batch::of("alice", &format!("{TOOLS}{script}")).with("--mem=150").start()
}

/// Show that the containers of a job go on to find and reach each other by name when another job of the user, which
/// made their network, ends; that they meet those of the other job where the jobs share a session and not otherwise;
/// that nothing is left of both; and that the next session has the network.
#[test]
fn a_network_outlives_the_job_that_made_it() {
    N1.configure(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd(NO_FILES.to_owned());
    N1.sh(FILES).ok();
    let serves = "httpd -f -h /etc";
    let script = format!("podman network create meets; start one '{serves}'; echo up; sleep 7310");
    let first = job(&script);
    first.wait_says("up");
    let counts = "while sleep 1; do date +%s; done | { until nc two 7000; do sleep 1; done; }";
    let last = "last() { into two tail -n 1 /log; }; begun=$(last)";
    let second = job(&format!(
        "start two '{serves} & sleep 7311 | nc -l -p 7000 >/log'; start three '{counts}'
         until into two grep -q . /log; do sleep 1; done; {last}
         echo other: $(asks three one).; echo up; {GO}
         until [ $(last) -gt $((begun + 3)) ]; do sleep 1; done; echo connections go on
         echo own: $(asks three two).; echo gone: $(asks three one).
         start four 'sleep 7312'; echo new: $(asks four two)."
    ));
    second.wait_says("up");
    first.cancel();
    let passwd = "root:x:0:0:root:/root:/bin/sh.\n";
    let said = second.go_to_its_end().says("connections go on").says("gone: .\n");
    let said = said.says(&format!("own: {passwd}")).says(&format!("new: {passwd}"));
    let other = if has_own_sessions() { ".\n" } else { passwd };
    said.says(&format!("other: {other}"));
    N1.sees_the_end_of("sleep 7312");
    N1.settles();
    let next = job(&format!(
        "start five '{serves}'; start six 'sleep 7313'; echo next: $(asks six five).
         podman rm --all --force --time=0 >/dev/null; podman network rm meets; echo over"
    ));
    next.wait_over();
    next.output().says(&format!("next: {passwd}")).says("meets\nover\n").never_says("level=error");
    N1.sh(NO_FILES);
    N1.is_again(&before);
}
