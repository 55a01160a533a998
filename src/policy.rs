//! Who gets a session.

use crate::arguments::{Arguments, Mode};

/// The option that the plugin adds to srun, sbatch and salloc.
pub(crate) const OPTION: &str = "user-session";

/// What the user said with `--user-session`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    None,
    /// `yes`.
    Yes,
    /// `no`.
    No,
}

impl Wish {
    /// Reads the option's value.
    ///
    /// # Errors
    /// A value that is neither, with what would be right. In one line, whatever
    /// the user said: it is for root's log, too.
    pub(crate) fn parse(value: Option<&str>) -> Result<Self, String> {
        match value {
            None => Ok(Self::None),
            Some("yes") => Ok(Self::Yes),
            Some("no") => Ok(Self::No),
            Some(other) => Err(format!("--{OPTION}={}: say yes or no", other.escape_debug())),
        }
    }
}

/// What a job is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A session.
    Serve,
    /// No session.
    Decline,
    /// Nothing at all, as if the plugin were not there.
    Ignore,
}

/// Decides from the site's arguments, the job's user and the user's wish.
pub(crate) fn decide(arguments: &Arguments, uid: u32, wish: Wish) -> Verdict {
    match (arguments.mode, wish) {
        (Mode::Off, _) => Verdict::Ignore,
        _ if uid < arguments.min_uid => Verdict::Decline,
        (_, Wish::No) | (Mode::OptIn, Wish::None) => Verdict::Decline,
        (_, Wish::Yes) | (Mode::Always, Wish::None) => Verdict::Serve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(mode: Mode) -> Arguments {
        Arguments { mode, ..Arguments::default() }
    }

    /// Show that mode and wish decide as documented.
    #[test]
    fn mode_and_wish_decide() {
        use Verdict::{Decline, Ignore, Serve};
        for (mode, none, yes, no) in [
            (Mode::Always, Serve, Serve, Decline),
            (Mode::OptIn, Decline, Serve, Decline),
            (Mode::Off, Ignore, Ignore, Ignore),
        ] {
            let verdicts =
                [Wish::None, Wish::Yes, Wish::No].map(|wish| decide(&with(mode), 1000, wish));
            assert_eq!(verdicts, [none, yes, no], "{mode:?}");
        }
    }

    /// Show that a wish does not lift min_uid.
    #[test]
    fn below_min_uid_there_is_no_session() {
        assert_eq!(decide(&with(Mode::Always), 999, Wish::Yes), Verdict::Decline);
    }

    /// Show that a wish must be yes or no.
    #[test]
    fn a_wish_is_yes_or_no() {
        assert_eq!(Wish::parse(None), Ok(Wish::None));
        assert_eq!(Wish::parse(Some("yes")), Ok(Wish::Yes));
        assert_eq!(Wish::parse(Some("no")), Ok(Wish::No));
        assert_eq!(Wish::parse(Some("maybe")).unwrap_err(), "--user-session=maybe: say yes or no");
    }

    /// Show that a wish writes no line of its own into the log.
    #[test]
    fn a_wish_stays_in_its_line() {
        let error = Wish::parse(Some("no\nerror: forged\u{1b}[2J")).unwrap_err();
        assert_eq!(error, r"--user-session=no\nerror: forged\u{1b}[2J: say yes or no");
    }
}
