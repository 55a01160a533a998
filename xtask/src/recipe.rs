//! All that decides what an image is, and its hash.
use std::borrow::Cow;
use std::fmt::Write as _;

use crate::node_files::{FILES, PACKAGES};
use crate::suite::Suite;

/// A journal is what a power loss is about; the rest is room for the tests.
pub(crate) const MKE2FS_OPTIONS: &str = "-L node -m 0";
/// Sparse: the file takes what is in it.
pub(crate) const IMAGE_SIZE: &str = "6G";

/// The recipe of one image.
pub(crate) struct Recipe {
    pub(crate) suite: Suite,
    /// The public ssh key that the node lets in.
    pub(crate) authorized_key: String,
}

impl Recipe {
    /// The packages, as mmdebstrap wants them.
    pub(crate) fn packages(&self) -> String {
        let own = self.suite.packages().iter().copied();
        PACKAGES.lines().chain(own).collect::<Vec<_>>().join(",")
    }

    /// The options that mmdebstrap gets for this image, whatever the host.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut options =
            vec!["--variant=apt".to_owned(), format!("--include={}", self.packages())];
        options.extend(self.suite.apt_options().iter().map(|option| format!("--aptopt={option}")));
        options
    }

    /// The files that make the node: path and text.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        FILES.iter().map(|(path, text)| (*path, self.suite.file(path, text)))
    }

    /// A name for the image that changes with anything in the recipe.
    pub(crate) fn image_name(&self) -> String {
        format!("{}-{:016x}", self.suite.name(), fnv1a(self.text().as_bytes()))
    }

    fn text(&self) -> String {
        let mut text = format!("{} {MKE2FS_OPTIONS} {IMAGE_SIZE}\n", self.suite.name());
        let _ = writeln!(text, "{}\n{}", self.options().join("\n"), self.authorized_key);
        for (path, content) in self.files() {
            let _ = writeln!(text, "{path} {}\n{content}", content.len());
        }
        text
    }
}

/// FNV-1a: std's hasher may change from one Rust release to the next, and nobody attacks a cache key.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(suite: Suite, key: &str) -> Recipe {
        Recipe { suite, authorized_key: key.to_owned() }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn the_same_recipe_has_the_same_name() {
        assert_eq!(
            recipe(Suite::Trixie, "k").image_name(),
            recipe(Suite::Trixie, "k").image_name()
        );
    }

    #[test]
    fn the_name_changes_with_the_key_and_the_suite() {
        let trixie = recipe(Suite::Trixie, "k").image_name();
        assert_ne!(trixie, recipe(Suite::Trixie, "l").image_name());
        assert_ne!(trixie, recipe(Suite::Forky, "k").image_name());
    }

    #[test]
    fn forky_takes_a_stale_release_file() {
        let options = recipe(Suite::Forky, "k").options();
        assert!(options.contains(&"--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned()));
    }
}
