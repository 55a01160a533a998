//! What the doctor has to find, and how it comes about on a node.

use cluster_tests::{LINE, RESTART, as_user};

/// The plugin's file, wherever this release of Slurm has its own.
const PLUGIN: &str = "$(dirname $(find /usr/lib -name task_cgroup.so))/spank_linger.so";

const PUT_BACK: &str =
    "mv /root/ours.so $(dirname $(find /usr/lib -name task_cgroup.so))/spank_linger.so";

/// One thing that is wrong: how it comes about, how it goes, and what is said of it.
pub(crate) struct Breakage {
    pub(crate) by: String,
    pub(crate) undone_by: &'static str,
    pub(crate) line: [&'static str; 3],
}

/// What is said begins with the state and the name of the check; then a part of what was found, and of
/// the cure.
fn breakage(by: impl Into<String>, undone_by: &'static str, line: [&'static str; 3]) -> Breakage {
    Breakage { by: by.into(), undone_by, line }
}

/// What can be wrong at a time.
pub(crate) fn breakages() -> Vec<Vec<Breakage>> {
    let other = breakage(
        // Renamed into place: slurmd dies of a file that changes under it.
        format!("cp -p {PLUGIN} /root/ours.so; mv /root/other.so {PLUGIN}"),
        PUT_BACK,
        ["fail  release ", "and refuses it", "install the plugin for"],
    );
    let no_file = breakage(
        format!("mv {PLUGIN} /root/ours.so"),
        PUT_BACK,
        ["fail  plugin-file ", "spank_linger.so is not in /usr/lib", "install -m 644"],
    );
    let no_include = breakage(
        "cp -p /etc/slurm/plugstack.conf /root; sed -i /^include/d /etc/slurm/plugstack.conf",
        "mv /root/plugstack.conf /etc/slurm",
        ["fail  plugstack ", "no line with spank_linger.so", "add 'include /etc/slurm/plugstack.c"],
    );
    let not_restarted = breakage(
        format!("mv {LINE} /root; {RESTART}; sleep 5; mv /root/linger.conf {LINE}"),
        RESTART,
        ["fail  restarted ", "slurmd has not loaded the plugin", "systemctl restart slurmd"],
    );
    let others = vec![other, home()];
    vec![
        of_slurm(),
        of_users(),
        of_systemd(),
        others,
        vec![no_file],
        vec![no_include],
        vec![not_restarted],
    ]
}

/// What is wrong in Slurm's configuration, which no daemon reads meanwhile, and in systemd.
fn of_slurm() -> Vec<Breakage> {
    vec![
        breakage(
            "cp -p /etc/slurm/slurm.conf /root; sed -i -e s/^PrologFlags=.*/PrologFlags=RunInJob/ \
             -e '1iJobContainerType=job_container/tmpfs' /etc/slurm/slurm.conf",
            "mv /root/slurm.conf /etc/slurm",
            ["warn  prolog-flags ", "RunInJob: Slurm calls no SPANK", "PrologFlags=Alloc,Contain"],
        ),
        breakage(
            "",
            "",
            ["warn  job-container ", "job_container/tmpfs without Shared=true", "Shared=true in"],
        ),
        breakage(
            "cp -p /etc/slurm/cgroup.conf /root; sed -i /^ConstrainRAM/d /etc/slurm/cgroup.conf",
            "mv /root/cgroup.conf /etc/slurm",
            ["warn  constrain ", "to ConstrainRAMSpace", "ConstrainRAMSpace=yes in cgroup.conf"],
        ),
        breakage(
            format!("cp -p {LINE} /root; sed -i s/timeout=120/timeout=soon/ {LINE}"),
            "mv /root/linger.conf /etc/slurm/plugstack.conf.d",
            ["fail  arguments ", "'timeout=soon'", "timeout takes whole seconds, 1 to 3600"],
        ),
        breakage(
            "install -d -m 755 /run/spank-linger",
            "chmod 700 /run/spank-linger",
            ["fail  state ", "/run/spank-linger has mode 0755", "chmod 700 /run/spank-linger"],
        ),
        breakage(
            "systemctl mask --runtime --now systemd-logind",
            "systemctl unmask --runtime systemd-logind; systemctl start systemd-logind",
            ["fail  logind ", "does not answer on the system bus", "unmask systemd-logind"],
        ),
        breakage(
            "mv /usr/lib/systemd/user/dbus.socket /root",
            "mv /root/dbus.socket /usr/lib/systemd/user",
            ["fail  dbus-user-session ", "no dbus.socket", "apt install dbus-user-session"],
        ),
    ]
}

/// What is wrong for one user.
fn of_users() -> Vec<Breakage> {
    const CONTAINERS: &str = "/etc/containers/containers.conf.d/cgroupfs.conf";
    vec![
        // The first: without newuidmap Podman does not get so far.
        breakage(
            format!("{FORGET}{}", as_user("alice", "podman info >/dev/null")),
            REMEMBER,
            [
                "warn  podman-store ",
                "from a run before there was a session",
                "podman rm --all --force; rm /home/alice/.local/share/containers/storage/",
            ],
        ),
        breakage(
            "systemctl mask user@1001.service",
            "systemctl unmask user@1001.service",
            ["fail  user-unit ", "user@1001.service is masked", "systemctl unmask user@1001"],
        ),
        breakage(
            "cp -p /etc/subuid /etc/subgid /root; sed -i /^alice:/d /etc/subuid /etc/subgid",
            "mv /root/subuid /root/subgid /etc",
            ["fail  subuid ", "no entry for alice", "usermod --add-subuids"],
        ),
        breakage("", "", ["fail  subgid ", "no entry for alice", "usermod --add-subgids"]),
        breakage(
            "mv /usr/bin/newuidmap /root",
            "mv /root/newuidmap /usr/bin",
            ["fail  newuidmap ", "not installed", "apt install uidmap"],
        ),
        breakage(
            format!(
                "mkdir -p $(dirname {CONTAINERS})\n\
                 printf '[engine]\\ncgroup_manager = \"cgroupfs\"\\n' >{CONTAINERS}"
            ),
            "rm -f /etc/containers/containers.conf.d/cgroupfs.conf",
            ["warn  podman ", "uses cgroupfs, because /etc/containers", "remove cgroup_manager"],
        ),
    ]
}

/// Has Podman's databases be as on a new node: its next run makes one. What is in `/tmp` is an older run's.
const FORGET: &str = "\
    mkdir -p /root/store/libpod\n\
    ! cd ~alice/.local/share/containers/storage 2>/dev/null || for db in db.sql libpod/bolt_state.db; do \
        [ ! -e $db ] || mv $db /root/store/$db; done\n";

/// Podman's pause process is of no session.
const REMEMBER: &str = "pkill --uid alice\n\
    cd ~alice/.local/share/containers/storage && for db in db.sql libpod/bolt_state.db; do \
        rm -f $db; [ ! -e /root/store/$db ] || mv /root/store/$db $db; done\n\
    rm -rf /root/store /tmp/storage-run-1001 /tmp/podman-run-1001 /tmp/containers-user-1001";

/// A home that neither root's shell nor a manager of its user's may look into, as without a ticket. Beside a fault: by
/// itself it is none of the node's.
fn home() -> Breakage {
    breakage(
        "stat --format=%a ~alice >/root/mode && chmod 0 ~alice",
        "chmod $(cat /root/mode) ~alice",
        [
            "warn  home ",
            "no manager of alice's can read /home/alice",
            "without a ticket or a token",
        ],
    )
}

/// What is wrong on the way to a user's manager, and with who kills beside it or has no patience.
fn of_systemd() -> Vec<Breakage> {
    vec![
        breakage(
            "cp -p /etc/slurm/slurm.conf /root; sed -i -e /^UnkillableStepTimeout=/d \
             -e '1iUnkillableStepTimeout=60' /etc/slurm/slurm.conf",
            "mv /root/slurm.conf /etc/slurm",
            // With the 120 s and 1 s of `QUICK`.
            ["warn  unkillable ", "=60 is not above", "=132 in slurm.conf"],
        ),
        breakage(
            format!("{STACK}; echo 'account required pam_slurm.so' >>/etc/pam.d/systemd-user"),
            UNSTACK,
            ["fail  pam ", "pam_slurm refuses who has no job that runs", "service = systemd-user"],
        ),
        // No node has it installed: a unit of that name stands in.
        breakage(
            "mkdir -p /run/systemd/system/user@.service.d\n\
             printf '[Service]\\nManagedOOMMemoryPressure=kill\\n' >/run/systemd/system/user@.service.d/oomd.conf\n\
             systemd-run --quiet --unit=systemd-oomd sleep 7301; systemctl daemon-reload",
            "rm -r /run/systemd/system/user@.service.d; systemctl stop systemd-oomd; systemctl daemon-reload",
            [
                "warn  oomd ",
                "kills in user@.service (ManagedOOMMemoryPressure=kill)",
                "/etc/systemd/system/user@.service.d/",
            ],
        ),
    ]
}

/// Has the stack of users' managers be a file of the admin's, whose end more can be written to. Nobody else's: what is
/// wrong there would keep the tests out.
pub(crate) const STACK: &str = "\
    if [ -e /etc/pam.d/systemd-user ]; then cp -p /etc/pam.d/systemd-user /root; \
    else cp /usr/lib/pam.d/systemd-user /etc/pam.d; fi";

pub(crate) const UNSTACK: &str = "\
    rm -f /etc/pam.d/systemd-user; [ ! -e /root/systemd-user ] || mv /root/systemd-user /etc/pam.d";
