//! The documents for users: their blocks, by the name in the comment before each.

const DOCS: [&str; 2] =
    [include_str!("../../docs/users.md"), include_str!("../../docs/users-more.md")];

/// Name and text of every block, in their order.
pub(crate) fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    DOCS.into_iter().flat_map(blocks_of)
}

/// One without a comment has the line before it for a name, which no test knows.
fn blocks_of(doc: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let parts: Vec<_> = doc.split("```\n").collect();
    let pairs: Vec<_> = parts.chunks_exact(2).map(|pair| (name(pair[0]), pair[1])).collect();
    pairs.into_iter()
}

fn name(prose: &str) -> &str {
    let line = prose.trim_end().lines().last().unwrap_or_default();
    line.trim_start_matches("<!-- ").trim_end_matches(" -->")
}

/// The text of a block.
///
/// # Panics
/// When there is none of that name.
pub(crate) fn example(wanted: &str) -> &'static str {
    let block = blocks().find(|(name, _)| *name == wanted);
    assert!(block.is_some(), "no document for users has a block '{wanted}'");
    block.unwrap_or_default().1.trim_end()
}

/// The commands that put a block where its first line says.
pub(crate) fn file(name: &str) -> String {
    let (path, text) = (path(name), example(name));
    format!("mkdir --parents $(dirname {path}); cat >{path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE\n")
}

/// Where [`file`] puts it.
pub(crate) fn path(name: &str) -> &'static str {
    example(name).lines().next().unwrap_or_default().trim_start_matches("# ")
}
