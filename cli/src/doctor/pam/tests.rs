//! Stacks that a test makes up.

use std::path::Path;

use super::super::State;
use super::super::tests::assert_finding;
use super::*;
use crate::node::made_up::{MadeUp, node};

const FILE: &str = "/etc/pam.d/systemd-user";
const DEBIAN: &str = "/etc/pam.d/common-account";

/// Debian's stack, with that in the part which all services share.
fn debian(more: &str) -> MadeUp {
    let account = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n\
                   account requisite pam_deny.so\naccount required pam_permit.so\n";
    node()
        .with(FILE, "@include common-account\nsession required pam_limits.so\nsession optional pam_systemd.so\n")
        .with(DEBIAN, format!("{account}{more}"))
}

fn found(more: &str) -> Finding {
    check(&debian(more).node)
}

/// Show that the stacks of the distributions are well, and a missing one is named.
#[test]
fn the_stack_is_there_or_not() {
    assert_finding(&found(""), State::Ok, &[FILE]);
    let vendor = node().with(
        "/usr/lib/pam.d/systemd-user",
        "account sufficient pam_unix.so\naccount required pam_x.so",
    );
    assert_finding(&check(&vendor.node), State::Ok, &["/usr/lib/pam.d/systemd-user"]);
    assert_finding(&check(&node().node), State::Fail, &["install libpam-systemd"]);
}

/// Show that pam_slurm_adopt is named where it looks at managers, which it does not by itself, and pam_slurm always.
#[test]
fn modules_of_slurms_keep_managers_out() {
    let adopts = found("account required pam_slurm_adopt.so service=*\n");
    let words =
        [DEBIAN, "line 4", "refuses who has no job here yet", "service=sshd", "pam_succeed_if.so"];
    assert_finding(&adopts, State::Fail, &words);
    let named = found(
        "-account [default=bad success=ok] /lib/security/pam_slurm_adopt.so service=systemd-user\n",
    );
    assert_finding(&named, State::Ok, &[]);
    let there = debian(
        "-account [default=bad success=ok] /lib/security/pam_slurm_adopt.so service=systemd-user\n",
    )
    .with("/lib/security/pam_slurm_adopt.so", "");
    assert_finding(&check(&there.node), State::Fail, &["service=systemd-user"]);
    for harmless in [
        "account required pam_slurm_adopt.so\n",
        "account required pam_slurm_adopt.so service=* action_no_jobs=ignore\n",
        "account optional pam_slurm_adopt.so service=*\n",
        "account sufficient pam_slurm_adopt.so service=*\n",
        "account [perm_denied=ignore default=bad] pam_slurm_adopt.so service=*\n",
        "auth required pam_slurm.so\n",
    ] {
        assert_finding(&found(harmless), State::Ok, &[FILE]);
    }
    let enterprise = node().with(FILE, "account include system-auth\n").with(
        "/etc/pam.d/system-auth",
        "account required pam_unix.so\naccount required \\\n pam_slurm.so\n",
    );
    let words = ["/etc/pam.d/system-auth, line 2", "at its prolog", "service = systemd-user"];
    assert_finding(&check(&enterprise.node), State::Fail, &words);
}

/// Show that the cures are taken.
#[test]
fn the_cures_are_cures() {
    let adopts = "account required pam_slurm_adopt.so service=*\n";
    let cure =
        past(&stack::reached(&debian(adopts).node, Path::new(DEBIAN), "account", &MANAGERS)[2]);
    let line = cure.split('\'').nth(1).unwrap();
    assert_finding(&found(&format!("{line}\n{adopts}")), State::Ok, &[]);
    let access = "account required pam_access.so\n";
    let rules = "+:ALL:systemd-user\n-:ALL EXCEPT root:ALL\n";
    assert_finding(
        &check(&debian(access).with("/etc/security/access.conf", rules).node),
        State::Ok,
        &[],
    );
}

/// Show that pam_access is named where it refuses managers, with its rule.
#[test]
fn refusing_rules_are_named() {
    let with = |rules: &str| {
        check(
            &debian("account required pam_access.so\n")
                .with("/etc/security/access.conf", rules)
                .node,
        )
    };
    let refused =
        with("# -:ALL:ALL\n+:root:ALL\n+ : (admins) : LOCAL\n- : ALL EXCEPT root : ALL\n");
    let words =
        ["line 4: pam_access", "/etc/security/access.conf, line 4", "'+:ALL:systemd-user' above"];
    assert_finding(&refused, State::Warn, &words);
    for harmless in [
        "",
        "-:ALL:10.0.0.0/8\n",
        "-:mallory:ALL\n",
        "-:ALL:ALL EXCEPT LOCAL\n",
        "+:ALL:LOCAL\n-:ALL:ALL\n",
    ] {
        assert_finding(&with(harmless), State::Ok, &[]);
    }
    let elsewhere = debian("session required pam_access.so accessfile=/opt/who\n")
        .with("/opt/who", "-:ALL:ALL\n");
    assert_finding(&check(&elsewhere.node), State::Warn, &["/opt/who, line 1"]);
    let dropped = debian("account required pam_access.so\n")
        .with("/etc/security/access.d/site.conf", "-:ALL:ALL\n");
    assert_finding(&check(&dropped.node), State::Warn, &["access.d/site.conf, line 1"]);
}

/// Show that pam_nologin is named, and is worse while it keeps users out.
#[test]
fn nologin_keeps_managers_out() {
    let line = "account requisite pam_nologin.so\n";
    assert_finding(&found(line), State::Warn, &["while /etc/nologin or /run/nologin is there"]);
    let now = check(&debian(line).with("/etc/nologin", "").node);
    assert_finding(&now, State::Fail, &["while /etc/nologin is there", "remove /etc/nologin"]);
    let other =
        debian("account required pam_nologin.so file=/opt/closed\n").with("/etc/nologin", "");
    assert_finding(&check(&other.node), State::Warn, &["/opt/closed"]);
    let worst = debian(&format!("{line}account required pam_slurm.so\n"));
    assert_finding(&check(&worst.node), State::Fail, &["pam_slurm"]);
}
