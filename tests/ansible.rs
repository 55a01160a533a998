//! The Ansible role against a node: `LINGER_ANSIBLE` says where `ansible-playbook` is.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use cluster_tests::{AtEnd, Batch, FILES, LIVE, N1, Output, fresh_node, package};

/// bob and carol linger, as a site's script had it.
const LINGERING: &str = "loginctl enable-linger bob carol; ls /var/lib/systemd/linger";

/// Runs the example's playbook with these variables on top.
fn play(variables: &str) -> Output {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/ansible");
    let program = env::var_os("LINGER_ANSIBLE").expect("run 'cargo xtask test'");
    let config = env::var("LINGER_SSH_CONFIG").expect("run 'cargo xtask test'");
    let mut ansible = Command::new("timeout");
    ansible.arg("900").arg(program).arg("site.yml").current_dir(place);
    // Its files on this machine are beside the node's.
    let home = Path::new(&config).with_file_name("ansible");
    let inventory = home.join("hosts");
    fs::create_dir_all(&home).expect("make a directory for Ansible");
    fs::write(&inventory, "[slurm_nodes]\nn1\n").expect("write the inventory");
    ansible.env("ANSIBLE_HOME", home).arg("--inventory").arg(inventory);
    // Through the connection that the tests have open.
    ansible.env("ANSIBLE_SSH_ARGS", format!("-F {config}")).env("ANSIBLE_PIPELINING", "True");
    ansible.args(["--extra-vars", "ansible_become=false ansible_python_interpreter=python3"]);
    ansible.args(["--extra-vars", variables]);
    Output::of("ansible-playbook site.yml", &ansible.output().expect("start ansible-playbook"))
}

/// Show that the role brings the plugin to a node, and changes nothing when it is
/// run again; that it lists who lingers, ends what the site names and nothing else;
/// and that it takes everything away again.
#[test]
fn a_role_installs_verifies_and_removes() {
    let _end = fresh_node();
    let _linger = AtEnd("loginctl disable-linger bob carol".into());
    let (before, files) = (N1.snapshot(), N1.sh(FILES).ok().stdout);
    N1.sh(LINGERING).ok().says("bob\ncarol\n");
    let package = package();
    let variables = format!(
        "{{slurm_spank_linger_package: {}, slurm_spank_linger_stop_lingering: [bob]}}",
        package.display()
    );
    let first = play(&variables).ok();
    first.says("failed=0").says("\"bob\"").says("\"carol\"");
    N1.sh("ls /var/lib/systemd/linger").ok().says("carol\n");
    Batch::of("alice", LIVE).run().ok().says("running dir=/run/user/1001\n");
    play(&variables).ok().says("changed=0").says("failed=0");
    play("slurm_spank_linger_state=absent slurm_spank_linger_package=").ok().says("failed=0");
    N1.sh("loginctl disable-linger carol").ok();
    N1.settles();
    N1.is_again(&before);
    assert_eq!(N1.sh(FILES).ok().stdout, files);
}

/// Show that a play fails where the doctor finds a fault, and prints the doctor's line.
#[test]
fn a_fault_fails_the_play() {
    let _end = fresh_node();
    let played = play(&format!(
        "{{slurm_spank_linger_package: {}, slurm_spank_linger_arguments: grace=soon}}",
        package().display()
    ));
    played.fails().says("grace=soon").says("failed=1");
}
