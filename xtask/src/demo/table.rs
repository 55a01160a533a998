//! A plain table of three columns, 100 characters wide.

const WIDTHS: [usize; 3] = [24, 34, 36];
const BETWEEN: &str = " | ";

/// How much of a list's line is indented.
const INDENT: usize = 2;

/// One row: what, without, with.
pub(super) type Row = [String; 3];

/// The first row is the head.
pub(super) fn draw(rows: &[Row]) -> String {
    let rule = WIDTHS.map(|width| "-".repeat(width)).join("-+-");
    let drawn = rows.iter().map(row).collect::<Vec<_>>();
    format!("{}\n{rule}\n", drawn.join(&format!("\n{rule}\n")))
}

/// One entry of a list under a table.
pub(super) fn item(text: &str) -> String {
    let width = WIDTHS.iter().sum::<usize>() + 2 * BETWEEN.len() - 2 * INDENT;
    let indent = " ".repeat(INDENT);
    format!("{indent}- {}", wrap(text, width).join(&format!("\n{indent}{indent}")))
}

fn row(cells: &Row) -> String {
    let columns = [0, 1, 2].map(|index| {
        let width = WIDTHS.get(index).copied().unwrap_or_default();
        let text = cells.get(index).map_or("", String::as_str);
        (width, wrap(text, width))
    });
    let height = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default();
    let lines = (0..height).map(|line| {
        let cells = columns
            .each_ref()
            .map(|(width, lines)| format!("{:width$}", lines.get(line).map_or("", String::as_str)));
        cells.join(BETWEEN).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks at blanks and after slashes; a piece longer than a line is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in text.split_inclusive([' ', '/', '\n']).flat_map(|piece| cut(piece, width)) {
        let full = lines.last().is_none_or(|line| {
            line.ends_with('\n') || line.chars().count() + piece.trim_end().chars().count() > width
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&piece);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn cut(piece: &str, width: usize) -> Vec<String> {
    let characters = piece.chars().collect::<Vec<_>>();
    characters.chunks(width).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that no line is wider than a newcomer's terminal, and nothing is lost.
    #[test]
    fn fits_and_loses_nothing() {
        let path = "/user.slice/user-1002.slice/user@1002.service/user.slice/libpod-".to_owned()
            + &"0a".repeat(32);
        let drawn = draw(&[["what".into(), path.clone(), format!("{path} and more")]]);
        assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
        let without = drawn.lines().filter_map(|line| line.split(BETWEEN).nth(1));
        assert!(without.map(str::trim).collect::<String>().starts_with(&path), "{drawn}");
    }

    /// Show that a line is broken where words end.
    #[test]
    fn breaks_where_words_end() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("/run/user/1002", 10), ["/run/user/", "1002"]);
        assert_eq!(wrap("a\nb", 10), ["a", "b"]);
    }
}
