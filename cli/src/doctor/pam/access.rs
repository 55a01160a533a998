//! Whom pam_access(8) refuses, by access.conf(5).

use std::path::PathBuf;

use super::Service;
use crate::node::Node;

const USUAL: &str = "/etc/security/access.conf";
/// Read behind that one (Linux-PAM 1.5).
const DROPPED: &str = "/etc/security/access.d/*.conf";

/// Where a rule is.
pub(super) struct Rule {
    pub(super) file: PathBuf,
    pub(super) number: usize,
}

/// The rule that refuses a service which nobody is let in by before. One for single users is theirs.
pub(super) fn refusing(node: &Node, told: Option<&str>, service: &Service) -> Option<Rule> {
    for file in files(node, told) {
        let text = node.read(&file).unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            match Answer::of(line, service) {
                Some(Answer::Admits) => return None,
                Some(Answer::Refuses) => return Some(Rule { file, number }),
                None => {}
            }
        }
    }
    None
}

fn files(node: &Node, told: Option<&str>) -> Vec<PathBuf> {
    if let Some(told) = told {
        return vec![told.into()];
    }
    let dropped = glob::glob(&node.at(DROPPED).to_string_lossy());
    let dropped = dropped.into_iter().flatten().flatten().map(|file| node.name_of(&file));
    std::iter::once(USUAL.into()).chain(dropped).collect()
}

enum Answer {
    Admits,
    Refuses,
}

impl Answer {
    /// `+ : users : origins`, for all users, of a service: that is its origin, and a local one.
    fn of(line: &str, service: &Service) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default();
        let mut fields = line.splitn(3, ':').map(str::trim);
        let (how, users, origins) = (fields.next()?, fields.next()?, fields.next()?);
        let is_ours = lists(users, &["ALL"]) && lists(origins, &["ALL", "LOCAL", service.0]);
        match how {
            // Who is left out is let in by no rule for all.
            "+" => (is_ours && !users.contains("EXCEPT")).then_some(Self::Admits),
            "-" => is_ours.then_some(Self::Refuses),
            _ => None,
        }
    }
}

/// Whether one of these is in a list, and none behind its EXCEPT.
fn lists(list: &str, any_of: &[&str]) -> bool {
    let words = |list: &str| list.split([' ', ',', '\t']).any(|word| any_of.contains(&word));
    let (list, except) = list.split_once("EXCEPT").unwrap_or((list, ""));
    words(list) && !words(except)
}
