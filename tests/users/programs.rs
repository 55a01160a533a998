//! What the programs of the node's release can do.

use cluster_tests::N1;

/// Debian 12 with Podman 4.3, or Debian 11 with 3.0.
fn podman_is_old() -> bool {
    ["20.11", "22.05"].contains(&N1.slurm().as_str())
}

/// Why the node's programs are too old for an example.
pub(crate) fn lacks(example: &str) -> Option<&'static str> {
    let reason = match example {
        "quadlet" | "quadlet-dryrun" if podman_is_old() => "Podman before 4.4 has no Quadlet",
        _ if N1.slurm() != "20.11" => return None,
        "pod" | "pod-unit" => "Podman 3.0 takes a pod's first container from a registry",
        "kube" => "Podman 3.0 plays no file of Kubernetes a second time",
        "limits" => "systemd 247 delegates no cpu controller to a user's manager",
        "slirp4netns" => "busybox of Debian 11 finds no name in a container, not even localhost",
        "service" | "journal" => "systemd-run 247 hands on no variable by its name alone",
        _ => return None,
    };
    Some(reason)
}

/// The network of rootless containers that the node's Podman has.
pub(crate) fn network() -> &'static str {
    if podman_is_old() { "slirp4netns" } else { "pasta" }
}

/// Why the node has no test of docs/users-more.md.
pub(crate) fn lacks_more() -> Option<&'static str> {
    (N1.slurm() == "20.11").then_some("docs/users-more.md is for Slurm 22.05 and later")
}
