//! Where a task's program is to run: on the node as slurmstepd sees it, or in a container.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where a task's program finds its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Where its slurmstepd does.
    Node,
    /// Below another root, into which another plugin has taken it (pyxis).
    OtherRoot,
    /// In an OCI bundle, in which Slurm will run it when the last callback has returned (`srun --container`).
    Bundle,
}

/// What slurmstepd knows of it.
pub(crate) struct Before {
    /// Its own.
    pub(crate) root: Root,
    pub(crate) is_in_bundle: bool,
}

impl Whereabouts {
    /// Of this process.
    pub(crate) fn after(before: &Before) -> Self {
        if before.is_in_bundle {
            Self::Bundle
        } else if Root::here() == before.root {
            Self::Node
        } else {
            Self::OtherRoot
        }
    }
}

/// The directory that is `/` to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root(Option<(u64, u64)>);

impl Root {
    /// To this one.
    pub(crate) fn here() -> Self {
        Self(fs::metadata("/").ok().map(|root| (root.dev(), root.ino())))
    }
}

/// Whether Slurm will run a step in the bundle that was asked for. Without an oci.conf beside its own configuration it
/// does not.
pub(crate) fn is_in_bundle(bundle: Option<OsString>, configuration: Option<OsString>) -> bool {
    let configuration = configuration.unwrap_or_else(|| "/etc/slurm/slurm.conf".into());
    let is_asked = bundle.is_some_and(|bundle| !bundle.is_empty());
    is_asked && Path::new(&configuration).with_file_name("oci.conf").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a task is where slurmstepd is unless its root is another, or Slurm will take it into a bundle.
    #[test]
    fn a_root_tells_where_a_task_is() {
        let (here, elsewhere) = (Root::here(), Root(Some((0, 1))));
        let after = |root, is_in_bundle| Whereabouts::after(&Before { root, is_in_bundle });
        assert_eq!(after(here, false), Whereabouts::Node);
        assert_eq!(after(elsewhere, false), Whereabouts::OtherRoot);
        assert_eq!(after(here, true), Whereabouts::Bundle);
    }

    /// Show that a bundle counts where Slurm has been told how to run one, and not where it takes no notice of it.
    #[test]
    fn a_bundle_needs_a_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let configuration = || Some(dir.path().join("slurm.conf").into_os_string());
        assert!(!is_in_bundle(Some("/b".into()), configuration()));
        fs::write(dir.path().join("oci.conf"), "").unwrap();
        assert!(is_in_bundle(Some("/b".into()), configuration()));
        assert!(!is_in_bundle(Some("".into()), configuration()));
        assert!(!is_in_bundle(None, configuration()));
    }
}
