//! Programs and plugins written in C, for the node.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::N1;

/// Compiles one for the node's release of Slurm, and puts it there.
///
/// # Panics
/// When it does not compile.
pub fn put_compiled(source: &str, flags: &[&str], to: &str) {
    let release = env::var("LINGER_SLURM_VERSION").expect("xtask says it");
    let (major, minor) = release.split_once('.').expect("major.minor");
    let file = env::temp_dir().join(format!("compiled-{}", std::process::id()));
    let built = Command::new("cc")
        .args(flags)
        .arg(format!("-DVERSION=(({major}<<16)|({minor}<<8))"))
        .arg("-o")
        .args([file.as_path(), Path::new(source)])
        .status();
    assert!(built.expect("cc runs").success());
    N1.put(&file, to);
    fs::remove_file(&file).expect("remove what was compiled");
}
