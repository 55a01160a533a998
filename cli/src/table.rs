//! Tables: columns as wide as what is in them, two blanks between.

use crate::paint::{Paint, Tone};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A field of that tone. What would break the line is replaced.
    pub(crate) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into().replace(char::is_control, "?"), tone }
    }

    /// A field without one.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::of(Tone::Plain, text)
    }
}

/// The table, a line for each row, below its head.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[Cell; N]], paint: Paint) -> String {
    let head = head.map(|text| Cell::of(Tone::Head, text));
    let rows: Vec<&[Cell; N]> = std::iter::once(&head).chain(rows).collect();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter().map(|row| line(*row, &widths, paint)).collect()
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let missing = width - cell.text.chars().count();
        line += &paint.paint(cell.tone, &cell.text);
        line += &" ".repeat(missing + 2);
    }
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that columns stand below each other, with colours too, and that no
    /// field breaks its line.
    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            [Cell::plain("jörg"), Cell::of(Tone::Good, "live"), Cell::plain("1")],
            [Cell::plain("a\nb"), Cell::of(Tone::Bad, "-"), Cell::plain("")],
        ];
        let plain = table(["USER", "SESSION", "JOBS"], &rows, Paint::NONE);
        assert_eq!(plain, "USER  SESSION  JOBS\njörg  live     1\na?b   -\n");
        let painted = table(["USER", "SESSION", "JOBS"], &rows, Paint::ALL);
        let strip = |line: &str| line.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        let painted = strip(&painted).replace("\u{1b}[32m", "").replace("\u{1b}[31m", "");
        assert_eq!(painted.replace(" \n", "\n"), plain.replace(" \n", "\n"));
    }
}
