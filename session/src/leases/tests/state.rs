//! State that is not ours to trust, cannot be read, or is of another version.

use crate::leases::tests::*;
use crate::terms::site::SessionKind;

/// Show that a state directory that others could write to is not used.
#[test]
fn foreign_state_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    fs::create_dir(&node.roots.run).unwrap();
    fs::set_permissions(&node.roots.run, fs::Permissions::from_mode(0o777)).unwrap();
    let error = node.take(1, []).unwrap_err().to_string();
    assert!(error.contains("mode 0700; remove what is there"), "{error}");
    assert!(error.contains(&node.dir.path().display().to_string()), "{error}");
}

/// Show that a state file of another version, or half a file, is named.
#[test]
fn unreadable_leases_are_named_and_hold() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    for text in ["{\"version\":9,\"state\":\"open\"}", "{\"version\":1", ""] {
        let lease = node.roots.run.join(node.uid.to_string()).join("2");
        fs::write(&lease, text).unwrap();
        let error = record::state(&node.roots, node.uid).lease(2).unwrap_err().to_string();
        assert!(error.contains(&lease.display().to_string()), "{error}");
        node.release(1, []).unwrap();
        assert!(node.lingers());
    }
    node.release(2, CLOSES).unwrap();
    assert!(node.is_clean());
}

/// Show that what the first version of the state said is still read: an upgrade
/// meets it under running jobs. A new field needs a default, another meaning a
/// new version.
#[test]
fn the_first_versions_state_is_read() {
    let node = Node::new();
    node.take(1, OPENS).unwrap();
    let state = node.roots.run.join(node.uid.to_string());
    let lease = r#"{"version":1,"state":"open","limits":{"memory":419430400,"swap":0,"tasks":9,
        "cpus":"0,2-3","denied":[{"kind":"char","major":4,"minor":60}]}}"#;
    fs::write(state.join("2"), lease).unwrap();
    fs::write(state.join("3"), r#"{"version":1,"state":"failed","cause":"c","told":true}"#)
        .unwrap();
    fs::write(state.join("4"), r#"{"version":1,"state":"declined"}"#).unwrap();
    fs::write(state.join("2.audit"), "24\n25\n").unwrap();
    fs::write(
        node.roots.lib.join(node.uid.to_string()),
        r#"{"version":1,"name":"bob","linger_before":true}"#,
    )
    .unwrap();
    assert_eq!(node.lease(2), Some(Lease::Open));
    assert_eq!(node.lease(3), Some(Lease::Failed { cause: "c".into(), told: true }));
    assert_eq!(node.lease(4), Some(Lease::Declined));
    let state = record::state(&node.roots, node.uid);
    assert_eq!(state.kind(2), SessionKind::Shared);
    let written = fs::read_to_string(node.roots.run.join(format!("{}/1", node.uid))).unwrap();
    assert!(written.contains(r#""kind":"shared""#), "{written}");
    assert_eq!(state.limits(2).unwrap().unwrap().tasks, Some(9));
    assert_eq!(state.audit_ids(record::Marked::Job(2)).unwrap(), [24, 25].into());
    assert!(state.undo().unwrap().unwrap().linger_before);
}
