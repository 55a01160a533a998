//! Whether the node has cgroups as this crate needs them.

use crate::terms::error::{Problem, Result};
use crate::terms::roots::Roots;

/// Whether the node has the one hierarchy of cgroups in which limits are read and set (cgroups(7), "Cgroups
/// version 2"). With version 1, and on a hybrid of both (EL 8's default), a job's limits are elsewhere.
pub(crate) fn is_unified(roots: &Roots) -> bool {
    roots.cgroup.join("cgroup.controllers").exists()
}

/// # Errors
/// That the node has no such hierarchy, with the cure.
pub(crate) fn require_unified(roots: &Roots) -> Result<()> {
    if is_unified(roots) {
        Ok(())
    } else {
        Err(Problem::NoUnified { at: roots.cgroup.clone() }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Show that a node without cgroups of version 2 is named with the cure.
    #[test]
    fn a_node_without_unified_cgroups_is_named() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let error = require_unified(&roots).unwrap_err().to_string();
        assert!(error.contains("no cgroup v2") && error.contains("confine=none"), "{error}");
        fs::create_dir_all(&roots.cgroup).unwrap();
        fs::write(roots.cgroup.join("cgroup.controllers"), "").unwrap();
        require_unified(&roots).unwrap();
    }
}
