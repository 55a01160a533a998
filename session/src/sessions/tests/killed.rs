//! What a killed call of ours leaves to the next.

use super::*;

/// Show that a record whose writer a power loss has stopped goes with the next
/// start of slurmd, or with an epilog.
#[test]
fn half_a_record_is_removed() {
    let node = Node::new();
    let budget = Budget::starting_now(Duration::from_secs(15));
    drop(store::lock(&node.roots, node.uid, budget).unwrap());
    fs::write(node.roots.lib.join(format!(".{}.new", node.uid)), "{").unwrap();
    assert!(!store::is_unknown(&node.roots, node.uid));
    assert_eq!(store::known_uids(&node.roots).unwrap(), [node.uid].into());
    node.release(1, []).unwrap();
    assert!(node.is_clean() && store::is_unknown(&node.roots, node.uid));
}
