//! What the plugin gives to Slurm's processes, and what it finds in them. All its
//! symbols are bound when it is loaded: where one is missing, it is not loaded, and
//! of an optional plugin Slurm does not even say so.
// Tests say what they expect by panicking.
#![allow(clippy::expect_used, missing_docs)]

mod elf;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use cluster_tests::N1;
use elf::Symbols;

/// Slurm's programs that load the plugin.
const PROGRAMS: [&str; 5] = ["srun", "sbatch", "salloc", "slurmd", "slurmstepd"];

/// All that others can see of the plugin: what Slurm looks for by name, and what
/// slurm-spank has Slurm call for an option.
const EXPORTED: [&str; 16] = [
    "plugin_name",
    "plugin_type",
    "plugin_version",
    "slurm_spank_exit",
    "slurm_spank_init",
    "slurm_spank_init_post_opt",
    "slurm_spank_job_epilog",
    "slurm_spank_job_prolog",
    "slurm_spank_local_user_init",
    "slurm_spank_slurmd_exit",
    "slurm_spank_task_exit",
    "slurm_spank_task_init",
    "slurm_spank_task_init_privileged",
    "slurm_spank_task_post_fork",
    "slurm_spank_user_init",
    "spank_option_callback",
];

/// Show that only what is meant is exported: a library's symbol could take the
/// place of one of the same name in a process of Slurm's.
#[test]
fn only_what_is_meant_is_exported() {
    let exported = elf::exports(&N1.get(&plugin()));
    assert_eq!(exported, EXPORTED.map(str::to_owned).into());
}

/// Show that every symbol the plugin uses is in the libraries it names itself, in
/// the version it names, or in each of Slurm's programs that load it.
#[test]
fn every_symbol_is_in_each_of_slurms_programs() {
    let (mut node, plugin) = (Files::default(), plugin());
    let mut wanted = elf::imports(&N1.get(&plugin));
    let all = wanted.len();
    node.take_defined(&mut wanted, libraries(&plugin));
    println!("{} of {all} are Slurm's: {wanted:?}", wanted.len());
    assert!(wanted.contains("spank_get_item"), "nothing is asked of Slurm: {wanted:?}");
    for program in PROGRAMS {
        let mut missing = wanted.clone();
        let path = path_of(program);
        node.take_defined(&mut missing, [path.clone()].into_iter().chain(libraries(&path)));
        assert!(missing.is_empty(), "not in {program}: {missing:?}");
    }
}

fn plugin() -> String {
    N1.sh("find /usr/lib -name spank_linger.so").ok().stdout.trim().to_owned()
}

fn path_of(program: &str) -> String {
    let find = format!("PATH=$PATH:/usr/sbin; readlink --canonicalize $(command -v {program})");
    N1.sh(&find).ok().stdout.trim().to_owned()
}

/// What the node's loader loads with a file, in its order.
fn libraries(file: &str) -> Vec<String> {
    let listed = N1.sh(&format!("ldd {file}")).ok().never_says("not found").stdout;
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    listed.lines().filter_map(path).collect()
}

/// What the node's files define, each read once.
#[derive(Default)]
struct Files(BTreeMap<String, Symbols>);

impl Files {
    /// Takes out of `wanted` what these files define, until nothing is wanted.
    fn take_defined(&mut self, wanted: &mut Symbols, files: impl IntoIterator<Item = String>) {
        for file in files {
            if wanted.is_empty() {
                return;
            }
            let defined = self.exports(file);
            wanted.retain(|symbol| !defined.contains(symbol));
        }
    }

    fn exports(&mut self, file: String) -> &Symbols {
        match self.0.entry(file) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let content = N1.get(new.key());
                println!("{}: {} kB", new.key(), content.len() >> 10);
                new.insert(elf::exports(&content))
            }
        }
    }
}
