//! Who gets a session.

use crate::arguments::{Arguments, Mode, Who};

/// The option that the plugin adds to srun, sbatch and salloc.
pub(crate) const OPTION: &str = "user-session";

/// As much of a wish that is none as a log needs.
const LONGEST: usize = 40;

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
            Some(other) => {
                let start = other.chars().take(LONGEST);
                let start: String = start.flat_map(char::escape_debug).collect();
                Err(format!("--{OPTION}={start}: say yes or no"))
            }
        }
    }
}

/// What is known of a job where it is decided.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) uid: u32,
    pub(crate) wish: Wish,
    /// As slurmd tells the prolog. A step only has its environment to say so, which
    /// is the user's.
    pub(crate) partition: Option<String>,
}

/// What a job is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A session.
    Serve,
    /// No session. What its user runs beside Slurm's cgroups is held to it all the same.
    Decline,
    /// No session, and no job of this user's counts: a service account may have a slice of its own.
    Leave,
    /// Nothing at all, as if the plugin were not there.
    Ignore,
}

/// Decides from the site's arguments, the job and the user's wish.
pub(crate) fn decide(arguments: &Arguments, request: &Request) -> Verdict {
    match (arguments.mode, request.wish) {
        (Mode::Off, _) => Verdict::Ignore,
        _ if request.uid < arguments.min_uid => Verdict::Leave,
        _ if !arguments.who.admits_account(request.uid) => Verdict::Leave,
        (_, Wish::No) | (Mode::OptIn, Wish::None) => Verdict::Decline,
        _ if !is_served(&arguments.who, request) => Verdict::Decline,
        (_, Wish::Yes) | (Mode::Always, Wish::None) => Verdict::Serve,
    }
}

/// In its partition.
fn is_served(who: &Who, request: &Request) -> bool {
    let is_in = |names: &[String]| {
        request.partition.as_ref().is_some_and(|partition| names.contains(partition))
    };
    who.partitions.as_deref().is_none_or(is_in)
}

#[cfg(test)]
mod tests {
    use nix::unistd::Group;

    use super::*;

    fn with(mode: Mode) -> Arguments {
        Arguments { mode, ..Arguments::default() }
    }

    fn request(uid: u32, wish: Wish) -> Request {
        Request { uid, wish, partition: None }
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
            let verdicts = [Wish::None, Wish::Yes, Wish::No]
                .map(|wish| decide(&with(mode), &request(1000, wish)));
            assert_eq!(verdicts, [none, yes, no], "{mode:?}");
        }
    }

    /// Show that a wish does not lift min_uid.
    #[test]
    fn below_min_uid_there_is_no_session() {
        let below = request(999, Wish::Yes);
        assert_eq!(decide(&with(Mode::Always), &below), Verdict::Leave);
    }

    /// Show that one list of names that has the user will do, and that a partition
    /// must be known and on the list. Root is an account wherever this runs.
    #[test]
    fn lists_say_who_is_served() {
        let is_admitted = |who: &Who, request: &Request| {
            let site = Arguments { who: who.clone(), min_uid: 0, ..Arguments::default() };
            decide(&site, request) == Verdict::Serve
        };
        let names = |names: &str| Some(names.split(',').map(str::to_owned).collect());
        let group = Group::from_gid(0.into()).unwrap().unwrap().name;
        let cases = [
            (Who { users: names("root,a"), ..Who::default() }, true),
            (Who { users: names("a,b"), ..Who::default() }, false),
            (Who { groups: names(&format!("none,{group}")), ..Who::default() }, true),
            (Who { groups: names("none"), ..Who::default() }, false),
            (Who { users: names("a"), groups: names(&group), ..Who::default() }, true),
            (Who { partitions: names("gpu,cpu"), ..Who::default() }, true),
            (Who { partitions: names("gpu"), ..Who::default() }, false),
            (Who { partitions: names("cpu"), users: names("a"), ..Who::default() }, false),
        ];
        for (who, expected) in cases {
            let of_root = Request { partition: Some("cpu".into()), ..request(0, Wish::Yes) };
            assert_eq!(is_admitted(&who, &of_root), expected, "{who:?}");
            let unknown = Who { partitions: None, ..who.clone() } != who;
            let of_step = request(0, Wish::Yes);
            assert_eq!(is_admitted(&who, &of_step), expected && !unknown, "{who:?}");
        }
        let nobody = Who { users: names("root"), ..Who::default() };
        assert!(!is_admitted(&nobody, &request(4_294_967_290, Wish::Yes)));
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
