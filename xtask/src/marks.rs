//! Text of a document that a command writes, between two marks in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file and says so.
///
/// # Errors
/// It cannot be written.
pub(crate) fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

/// Replaces what is between the two marks, lines of their own.
///
/// # Errors
/// The file cannot be read or written, or has not both.
pub(crate) fn publish(file: &Path, marks: [&str; 2], text: &str) -> Result<()> {
    let lost = || format!("{} has lost its marks", file.display());
    let old = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    save(file, &between(&old, marks, text).with_context(lost)?)
}

fn between(text: &str, [begin, end]: [&str; 2], new: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{new}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that only what is between the marks changes.
    #[test]
    fn text_is_put_between_the_marks() {
        let marks = ["<!-- figures -->\n", "<!-- end of figures -->\n"];
        let text = "# Title\n<!-- figures -->\nold\n<!-- end of figures -->\nend\n";
        let expected = "# Title\n<!-- figures -->\n\nnew\n<!-- end of figures -->\nend\n";
        assert_eq!(between(text, marks, "new").unwrap(), expected);
        assert_eq!(between("no marks", marks, "new"), None);
    }
}
