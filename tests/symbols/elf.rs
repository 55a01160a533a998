//! What a program or a library gives to others, and what it wants of them.

use std::collections::BTreeSet;

use object::read::elf::ElfFile64;
use object::{ExportFlags, ImportFlags, NameOrOrdinal, Object};

/// Names, with the version behind an `@` where there is one.
pub(crate) type Symbols = BTreeSet<String>;

/// What it defines for others: with the version, and also without, for those who
/// ask for none.
pub(crate) fn exports(file: &[u8]) -> Symbols {
    let mut symbols = Symbols::new();
    for export in parse(file).exports().expect("dynamic symbols") {
        let export = export.expect("a dynamic symbol");
        let NameOrOrdinal::Name(name) = export.name() else { continue };
        let name = text(name);
        if let ExportFlags::Elf { version: Some(version), .. } = export.flags() {
            symbols.insert(format!("{name}@{}", text(version)));
        }
        symbols.insert(name);
    }
    symbols
}

/// What others must define. A weak symbol may be missing: its user asks first.
pub(crate) fn imports(file: &[u8]) -> Symbols {
    let file = parse(file);
    let imports = file.imports().expect("dynamic symbols");
    imports.map(|import| import.expect("a dynamic symbol")).filter_map(full_name).collect()
}

fn full_name(import: object::Import<'_>) -> Option<String> {
    let NameOrOrdinal::Name(name) = import.name() else { return None };
    let ImportFlags::Elf { version, .. } = import.flags() else { return None };
    let version = version.map(|version| format!("@{}", text(version)));
    (!import.is_weak()).then(|| text(name) + &version.unwrap_or_default())
}

/// All nodes are of 64 bits and little-endian, as this machine.
fn parse(file: &[u8]) -> ElfFile64<'_> {
    ElfFile64::parse(file).expect("an ELF file")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
