//! Sets, made with little code.

use std::collections::BTreeSet;

/// The set of `items`. The standard library's `collect` sorts them first, and
/// brings 5 KB of sorting into the plugin for each type.
pub(crate) fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}
