//! Colours, on a terminal that wants them.

use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, stdout};

use anstyle::{AnsiColor, Style};

/// What a text means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// The head of a table.
    Head,
    Good,
    Doubtful,
    Bad,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// As standard output wants it: a terminal gets colours, unless NO_COLOR is set
    /// to something (no-color.org).
    pub(crate) fn of_stdout() -> Self {
        let declines = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stdout().is_terminal() && !declines && !is_dumb)
    }

    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);
    #[cfg(test)]
    pub(crate) const ALL: Self = Self(true);

    /// The text as it is to be written.
    pub(crate) fn paint(self, tone: Tone, text: impl Display) -> String {
        let style = match tone {
            _ if !self.0 => Style::new(),
            Tone::Plain => Style::new(),
            Tone::Head => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Doubtful => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that a text without colours is the text.
    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(Paint::NONE.paint(Tone::Bad, "fail"), "fail");
        assert_eq!(Paint::ALL.paint(Tone::Plain, "12"), "12");
        let bad = Paint::ALL.paint(Tone::Bad, "fail");
        assert!(bad.starts_with('\u{1b}') && bad.contains("fail") && bad.ends_with("\u{1b}[0m"));
    }
}
