//! The command for a site's own checks: how long it takes, what a monitor is told, and that what it says of PAM and of
//! /proc is so.

use cluster_tests::{AtEnd, Batch, LIVE, N1, OPTIONAL, QUICK, alice_is_served, well};

use super::breakages::{STACK, UNSTACK};
use super::{install, json};

/// Says how many milliseconds each takes: the programs that the doctor asks, by themselves, and the doctor.
const TIMES: &str = r#"
asked() {
    systemctl --version
    busctl --timeout=20 call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.DBus.Peer Ping
    systemctl show --property=Id,ActiveState,ManagedOOMSwap -- systemd-oomd.service -.slice user.slice user@1000.service
    /proc/$(systemctl show slurmd --property=MainPID --value)/exe -V
    ldd $(dirname $(find /usr/lib -name task_cgroup.so))/spank_linger.so
}
took() { local from=${EPOCHREALTIME/./}; "$@" >/dev/null; echo $(((${EPOCHREALTIME/./} - from) / 1000)); }
for i in 1 2 3; do echo asked=$(took asked) doctor=$(took spank-linger doctor --quiet); done
"#;

/// Show that a health check says nothing of a healthy node, succeeds, and takes less than a second on top of what the
/// programs that it asks take there: an emulated node is slow at starting one. Of three times the shortest counts, as
/// the node has other work.
#[test]
fn a_health_check_is_quick() {
    install(OPTIONAL);
    let _well = well();
    let said = N1.sh("spank-linger doctor --quiet").ok();
    assert_eq!(said.stdout, "", "{said:#?}");
    let times = N1.sh(TIMES).ok();
    let shortest = |of: &str| {
        let words = times.stdout.split_whitespace().filter_map(|word| word.strip_prefix(of));
        words.filter_map(|ms| ms.parse::<u32>().ok()).min().expect(of)
    };
    let (asked, doctor) = (shortest("asked="), shortest("doctor="));
    println!("programs {asked} ms, doctor {doctor} ms");
    assert!(doctor < asked + 1000, "{times:#?}");
}

/// Show that a monitor is told of a failure when its job is over: which job, whose, when and why.
#[test]
fn the_last_failures_are_told() {
    install(QUICK);
    let _end = AtEnd("systemctl unmask user@1001.service".to_owned());
    N1.sh("systemctl mask user@1001.service").ok();
    let said = Batch::of("alice", "echo job=$SLURM_JOB_ID.").run().ok().complains("is masked");
    let job: u32 = said.value("job=").trim_end_matches('.').parse().expect("a job");
    let status = json(&N1.sh("spank-linger status --json").ok());
    let failures = status["failures"].as_array().expect("failures");
    let failure = failures.iter().rfind(|failure| failure["job"] == job);
    let failure = failure.unwrap_or_else(|| panic!("no job {job}: {failures:#?}"));
    assert_eq!(failure["uid"], 1001, "{failure:#}");
    assert!(failure["time"].as_str().is_some_and(|time| time.starts_with("20")), "{failure:#}");
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("open session: ") && message.contains("is masked"), "{message}");
    assert!(failures.len() <= 20, "{failures:#?}");
    let own = json(&N1.sh_as("alice", "spank-linger status --json").ok());
    assert!(own["failures"].is_null(), "{own:#}");
}

/// Show that a stack that refuses a user's manager has a job be without a session, that its line is named, and that each
/// of the cures which are named is one.
#[test]
fn what_pam_refuses_is_cured() {
    const RULES: &str = "/etc/security/linger-tests.conf";
    const FILE: &str = "/etc/pam.d/systemd-user";
    install(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd(format!("{UNSTACK}; rm -f {RULES}"));
    let refusing = format!("echo '-:ALL EXCEPT root:ALL' >{RULES}");
    let line = format!("account required pam_access.so accessfile={RULES}");
    N1.sh(&format!("{STACK}; echo '{line}' >>{FILE}; {refusing}")).ok();
    let found = N1.sh("spank-linger doctor").ok().says("warn  pam ").says("pam_access");
    found.says(&format!("'+:ALL:systemd-user' above {RULES}, line 1"));
    let job = Batch::of("alice", "echo dir=$XDG_RUNTIME_DIR.").run().ok().says("dir=.");
    job.complains("no user session on this node: start user@1001.service");
    N1.sh(&format!("sed -i 1i+:ALL:systemd-user {RULES}")).ok();
    N1.sh("spank-linger doctor").ok().says("ok    pam ");
    alice_is_served(&before);
    let past = "account [success=1 default=ignore] pam_succeed_if.so quiet service = systemd-user";
    N1.sh(&format!("{refusing}; sed -i '$i{past}' {FILE}; tail --lines=2 {FILE}")).ok();
    N1.sh("spank-linger doctor").ok().says("ok    pam ");
    alice_is_served(&before);
}

/// Show that a `/proc` which hides processes of others is no fault where the doctor says that systemd can live with it:
/// a job has its session.
#[test]
fn hidden_processes_are_lived_with() {
    install(QUICK);
    let before = N1.snapshot();
    let _end = AtEnd("mount -o remount,hidepid=0 /proc".to_owned());
    N1.sh("mount -o remount,hidepid=2 /proc").ok();
    N1.sh("spank-linger doctor").ok().says("which this systemd can live with");
    let hidden = format!("ls -d /proc/1 2>/dev/null && echo seen; {LIVE}");
    let job = Batch::of("alice", &hidden).run().ok();
    job.says("running dir=/run/user/1001").never_says("seen");
    N1.is_again(&before);
}
