//! Plugins, lines and daemons that a test makes up.

use super::super::State;
use super::super::tests::assert_finding;
use super::*;
use crate::node::made_up::{MadeUp, node};

const FILE: &str = "/usr/lib64/slurm/spank_linger.so";
const CONF: &str = "/etc/slurm/plugstack.conf";
const STAT: &str = "77 (slurmd) S 1 77 77 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 0 1";

/// The smallest ELF file with that symbol (elf(5)): a header, `.dynsym`, `.dynstr`,
/// `.data` with the number in it, and the names of the sections.
pub(in super::super) fn plugin_of(major: u8, minor: u8) -> Vec<u8> {
    const NAMES: &[u8] = b"\0plugin_version\0.dynsym\0.dynstr\0.data\0.shstrtab\0";
    let name = |name: &str| {
        let found = NAMES.windows(name.len()).position(|at| at == name.as_bytes());
        u32::try_from(found.unwrap()).unwrap()
    };
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let symbols = [vec![0; 24], symbol(name("plugin_version"), 3, 0x1000)].concat();
    let value = [0, minor, major, 0].to_vec();
    let parts = [symbols, NAMES.to_vec(), value, NAMES.to_vec()];
    let mut sections = vec![section([0; 9], 0)];
    let mut at = 64;
    // Type, flags, address, link, info and size of an entry; .dynsym begins with a local one.
    let kinds = [
        (".dynsym", 11, 2, 0, 2, 1, 24),
        (".dynstr", 3, 2, 0, 0, 0, 0),
        (".data", 1, 3, 0x1000, 0, 0, 0),
        (".shstrtab", 3, 0, 0, 0, 0, 0),
    ];
    for ((title, kind, flags, address, link, info, entry), part) in kinds.into_iter().zip(&parts) {
        let size = part.len() as u64;
        sections.push(section([kind, flags, address, at, size, link, info, 1, entry], name(title)));
        at += size;
    }
    [header(machine, at, 5), parts.concat(), sections.concat()].concat()
}

fn header(machine: u16, sections_at: u64, sections: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([3_u16, machine].iter().flat_map(|half| half.to_le_bytes()));
    header.extend(1_u32.to_le_bytes());
    header.extend([0, 0, sections_at].iter().flat_map(|word: &u64| word.to_le_bytes()));
    header.extend(0_u32.to_le_bytes());
    let halves = [64, 0, 0, 64, sections, sections - 1];
    header.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    header
}

/// Kind, flags, address, offset, size, link, info, alignment, size of an entry.
fn section(fields: [u64; 9], name: u32) -> Vec<u8> {
    let [kind, flags, address, offset, size, link, info, align, entry] = fields;
    let word = |value: u64| u32::try_from(value).unwrap().to_le_bytes();
    let mut section = [name.to_le_bytes(), word(kind)].concat();
    section.extend([flags, address, offset, size].iter().flat_map(|value| value.to_le_bytes()));
    section.extend([word(link), word(info)].concat());
    section.extend([align, entry].iter().flat_map(|value| value.to_le_bytes()));
    section
}

/// A global object of four bytes.
fn symbol(name: u32, section: u16, address: u64) -> Vec<u8> {
    let mut symbol = name.to_le_bytes().to_vec();
    symbol.extend([0x11, 0]);
    symbol.extend(section.to_le_bytes());
    symbol.extend([address, 4].iter().flat_map(|value| value.to_le_bytes()));
    symbol
}

/// A node whose slurmd has started in a year to come.
pub(in super::super) fn healthy() -> MadeUp {
    node()
        .with("/etc/slurm/slurm.conf", "PluginDir=/usr/lib64/slurm\n")
        .with(CONF, "optional spank_linger.so grace=1\n")
        .with(FILE, plugin_of(24, 11))
        .with("/proc/stat", "btime 4000000000\n")
        .with("/proc/77/comm", "slurmd\n")
        .with("/proc/77/stat", STAT)
        .with("/proc/77/maps", format!("7f 0 r-xp {FILE}\n"))
        .with_tools([("slurmd -V", Ok("slurm-wlm 24.11.5\n"))])
}

/// The finding of that name.
fn found(made_up: &MadeUp, check: &str) -> Finding {
    let found = checks(&made_up.node, &Slurm::of(&made_up.node));
    found.into_iter().find(|finding| finding.check == check).unwrap()
}

/// Show that a node where all is well has nothing to cure.
#[test]
fn all_is_well() {
    let made_up = healthy();
    for (check, word) in [
        ("plugstack", "plugstack.conf, line 1"),
        ("arguments", "grace=1"),
        ("plugin-file", FILE),
        ("release", "24.11"),
        ("restarted", "has started since"),
        ("plugstack-order", "no other plugin"),
    ] {
        assert_finding(&found(&made_up, check), State::Ok, &[word]);
    }
}

/// Show that each way to be without a line is told from the others.
#[test]
fn a_missing_line_is_named() {
    let include = "include /etc/slurm/plugstack.conf.d/*.conf";
    for (text, word, cure) in [
        (None, "is not there", include),
        (Some("# nothing\n"), "no include", include),
        (Some("include *.conf.d/*\n"), "plugstack.conf or /etc/slurm/*.conf.d/*", "'optional"),
        (
            Some("optional spank_linger.so\nrequired /a/spank_linger.so"),
            ", line 1 and in ",
            "remove one",
        ),
    ] {
        let made_up = healthy();
        fs::remove_file(made_up.node.at(CONF)).unwrap();
        if let Some(text) = text {
            made_up.put(CONF, text);
        }
        assert_finding(&found(&made_up, "plugstack"), State::Fail, &[word, cure]);
    }
}

/// Show that a bad argument is named in the plugin's own words, with its place.
#[test]
fn a_bad_argument_is_named() {
    let made_up = healthy().with(CONF, "\noptional spank_linger.so timeout=soon\n");
    let words = ["'timeout=soon'", "whole seconds, 1 to 3600", "plugstack.conf, line 2"];
    assert_finding(&found(&made_up, "arguments"), State::Fail, &words);
    let made_up = healthy().with(CONF, "optional spank_linger.so session=job keep=60\n");
    let words = ["'keep=60'", "not with session=job", "plugstack.conf, line 1"];
    assert_finding(&found(&made_up, "arguments"), State::Fail, &words);
    let made_up = healthy().with(CONF, "optional spank_linger.so\n");
    assert_finding(&found(&made_up, "arguments"), State::Ok, &["defaults"]);
}

/// Show that a file that is missing, is no plugin, or is not root's alone is named.
#[test]
fn a_bad_file_is_named() {
    let made_up = healthy();
    fs::remove_file(made_up.node.at(FILE)).unwrap();
    let words = ["not in /usr/lib64/slurm", "install -m 644", "systemctl restart slurmd"];
    assert_finding(&found(&made_up, "plugin-file"), State::Fail, &words);
    let made_up = healthy().with(FILE, "no plugin");
    let words = ["no ELF file", "install the file for Slurm 24.11"];
    assert_finding(&found(&made_up, "plugin-file"), State::Fail, &words);
    let mut made_up = healthy();
    made_up.node.owner += 1;
    let words = ["others than root", "chown root:"];
    assert_finding(&found(&made_up, "plugin-file"), State::Fail, &words);
}

/// Show that a library, or a version of one, that the file needs and that is not
/// here is named.
#[test]
fn a_file_that_cannot_be_loaded_is_named() {
    for (printed, missing) in [
        ("\tlibm.so.6 => /lib/libm.so.6 (0x7f)\n\tlibodd.so => not found\n", "libodd.so"),
        ("x.so: libc.so.6: version `GLIBC_2.99' not found (required by x.so)\n", "GLIBC_2.99"),
    ] {
        let made_up = healthy().with_tools([("sh -c exec ldd", Ok(printed))]);
        let words = ["cannot be loaded", missing, "an older one"];
        assert_finding(&found(&made_up, "plugin-file"), State::Fail, &words);
    }
    let whole = healthy().with_tools([("sh -c exec ldd", Ok("\tlibc.so.6 => /lib/libc.so.6\n"))]);
    assert_finding(&found(&whole, "plugin-file"), State::Ok, &[FILE]);
}

/// Show that a plugin for another release is named with both.
#[test]
fn another_release_is_named() {
    let made_up = healthy().with(FILE, plugin_of(26, 5));
    let words = ["for Slurm 26.05", "slurmd is 24.11", "SLURM_VERSION=24.11"];
    assert_finding(&found(&made_up, "release"), State::Fail, &words);
    let unknown = healthy().with_tools([]);
    assert_finding(&found(&unknown, "release"), State::Warn, &["not known", "slurmd -V"]);
}

/// Show that a slurmd that does not know the plugin, or an older one, is named.
#[test]
fn a_slurmd_that_was_not_restarted_is_named() {
    let restart = "systemctl restart slurmd";
    let made_up = healthy().with("/proc/77/maps", "7f 0 r-xp /usr/lib/libc.so.6\n");
    let words = ["has not loaded", restart];
    assert_finding(&found(&made_up, "restarted"), State::Fail, &words);
    let made_up = healthy().with("/proc/77/maps", format!("7f 0 r-xp {FILE} (deleted)\n"));
    assert_finding(&found(&made_up, "restarted"), State::Warn, &["has replaced", restart]);
    let made_up = healthy().with("/proc/stat", "btime 1000000000\n").with("/proc/77/maps", "");
    let words = ["has changed since slurmd started", restart];
    assert_finding(&found(&made_up, "restarted"), State::Warn, &words);
    let stopped = healthy().with("/proc/77/comm", "other\n");
    let words = ["does not run", "systemctl start"];
    assert_finding(&found(&stopped, "restarted"), State::Warn, &words);
}
