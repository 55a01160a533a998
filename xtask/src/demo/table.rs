//! A plain table of four columns, 100 characters wide.

const WIDTHS: [usize; 4] = [19, 22, 25, 25];
const BETWEEN: &str = " | ";

/// What is too long for a line is broken after one of these, if there is one.
const JOINTS: [char; 4] = ['_', '-', '.', '…'];

/// How much of a list's line is indented.
const INDENT: usize = 2;

/// One row: what, and each run.
pub(super) type Row = [String; 4];

/// The first row is the head.
pub(super) fn draw(rows: &[Row]) -> String {
    let rule = WIDTHS.map(|width| "-".repeat(width)).join("-+-");
    let drawn = rows.iter().map(row).collect::<Vec<_>>();
    format!("{}\n{rule}\n", drawn.join(&format!("\n{rule}\n")))
}

/// One entry of a list under a table.
pub(super) fn item(text: &str) -> String {
    let width = WIDTHS.iter().sum::<usize>() + (WIDTHS.len() - 1) * BETWEEN.len() - 2 * INDENT;
    let indent = " ".repeat(INDENT);
    format!("{indent}- {}", wrap(text, width).join(&format!("\n{indent}{indent}")))
}

fn row(cells: &Row) -> String {
    let columns = [0, 1, 2, 3].map(|index| {
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

/// Breaks at blanks and after slashes; a piece longer than a line is cut, after a joint if it has one.
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
    let (mut parts, mut rest) = (Vec::new(), piece);
    while rest.trim_end().chars().count() > width {
        let (part, more) = rest.split_at(end_of_line(rest, width));
        parts.push(part.to_owned());
        rest = more;
    }
    parts.push(rest.to_owned());
    parts
}

/// Where to cut a text that is longer than a line.
fn end_of_line(text: &str, width: usize) -> usize {
    let ends = text.char_indices().take(width).map(|(at, one)| (one, at + one.len_utf8()));
    let joint = ends.clone().filter(|(one, _)| JOINTS.contains(one)).last();
    joint.or(ends.last()).map_or(text.len(), |(_, end)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that no line is wider than a newcomer's terminal, and nothing is lost.
    #[test]
    fn fits_and_loses_nothing() {
        let path = "/user.slice/user-1002.slice/user@1002.service/user.slice/libpod-".to_owned()
            + &"0a".repeat(32);
        let cells = ["what".into(), path.clone(), format!("{path} and more"), path.clone()];
        let drawn = draw(&[cells]);
        assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
        for column in 1..=3 {
            let cell = drawn.lines().filter_map(|line| line.split(BETWEEN).nth(column));
            assert!(cell.map(str::trim).collect::<String>().starts_with(&path), "{drawn}");
        }
    }

    /// Show that a line is broken where words end.
    #[test]
    fn breaks_where_words_end() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("/run/user/1002", 10), ["/run/user/", "1002"]);
        assert_eq!(wrap("a\nb", 10), ["a", "b"]);
    }

    /// Show that what is longer than a line is cut at a joint, and where it has none at the line's end.
    #[test]
    fn a_long_name_is_cut_at_a_joint() {
        assert_eq!(wrap("DBUS_SESSION_BUS_ADDRESS", 19), ["DBUS_SESSION_BUS_", "ADDRESS"]);
        let scope = wrap("/libpod-0123456789ab….scope/container", 25);
        assert_eq!(scope, ["/libpod-0123456789ab….", "scope/container"]);
        assert_eq!(wrap("0123456789", 4), ["0123", "4567", "89"]);
    }
}
