//! The lines of a PAM stack that are reached, as pam.d(5) has them read.

use std::path::{Path, PathBuf};

use super::Service;
use crate::node::Node;

/// Where stacks are: the admin's, Linux-PAM's, and what distributions have as their vendor's (openSUSE).
const DIRS: [&str; 4] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d", "/usr/share/pam.d"];

/// Where modules are.
const MODULES: [&str; 5] = [
    "/lib/security",
    "/lib64/security",
    "/usr/lib/security",
    "/usr/lib64/security",
    "/usr/lib/*/security",
];

/// libpam's own bound (PAM_SUBSTACK_MAX_LEVEL).
const NESTED_AT_MOST: u8 = 16;

/// The file of a stack: the first directory that has it.
pub(super) fn file(node: &Node, name: &str) -> Option<PathBuf> {
    let places = DIRS.iter().map(|dir| Path::new(dir).join(name));
    places.into_iter().find(|place| node.at(place).is_file())
}

/// A module in a stack.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: PathBuf,
    pub(super) number: usize,
    pub(super) kind: &'static str,
    control: String,
    /// Without its directory and `.so`.
    pub(super) module: String,
    pub(super) arguments: Vec<String>,
}

impl Line {
    /// What is done on a result: pam.d(5) has what the words stand for.
    pub(super) fn action(&self, result: &str) -> &str {
        let pairs = match self.control.as_str() {
            "required" => "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
            "requisite" => "success=ok new_authtok_reqd=ok ignore=ignore default=die",
            "sufficient" => "success=done new_authtok_reqd=done default=ignore",
            "optional" => "success=ok new_authtok_reqd=ok default=ignore",
            pairs => pairs.trim_matches(['[', ']']),
        };
        let of = |wanted: &str| {
            let mut pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.find(|(result, _)| *result == wanted).map(|(_, action)| action)
        };
        of(result).or_else(|| of("default")).unwrap_or("bad")
    }

    /// The value of an argument `name=value`; of several the last.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        let mut pairs = self.arguments.iter().rev().filter_map(|word| word.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// The lines of that kind that are reached for a service which its modules let pass, in their order.
pub(super) fn reached(
    node: &Node,
    file: &Path,
    kind: &'static str,
    service: &Service,
) -> Vec<Line> {
    let mut walk = Walk { node, kind, service, skip: 0, reached: Vec::new() };
    walk.stack(file, NESTED_AT_MOST);
    walk.reached
}

struct Walk<'a> {
    node: &'a Node,
    kind: &'static str,
    service: &'a Service,
    /// So many lines are jumped over.
    skip: usize,
    reached: Vec<Line>,
}

impl Walk<'_> {
    /// Whether nothing behind it is reached.
    fn stack(&mut self, file: &Path, deeper: u8) -> bool {
        let text = self.node.read(file).unwrap_or_default();
        let lines = logical_lines(&text);
        lines.iter().any(|(number, line)| self.line(file, *number, line, deeper))
    }

    fn included(&mut self, name: &str, deeper: u8) -> bool {
        let place = Some(PathBuf::from(name)).filter(|path| path.is_absolute());
        let place = place.or_else(|| file(self.node, name));
        place.is_some_and(|place| deeper > 0 && self.stack(&place, deeper - 1))
    }

    fn line(&mut self, file: &Path, number: usize, line: &str, deeper: u8) -> bool {
        let words = words(line);
        let [kind, control, rest @ ..] = &words[..] else { return false };
        if kind == "@include" {
            return self.included(control, deeper);
        }
        let Some((module, arguments)) = rest.split_first() else { return false };
        if !kind.trim_start_matches('-').eq_ignore_ascii_case(self.kind) {
            return false;
        }
        if kind.starts_with('-') && !self.has_module(module) {
            return false;
        }
        match control.as_str() {
            "include" => self.included(module, deeper),
            "substack" => {
                // It counts as one line for a jump, and its end is not the stack's.
                if !self.is_skipped() {
                    self.included(module, deeper);
                }
                false
            }
            _ => self.module(Line {
                file: file.to_owned(),
                number,
                kind: self.kind,
                control: control.clone(),
                module: name_of(module),
                arguments: arguments.to_vec(),
            }),
        }
    }

    fn is_skipped(&mut self) -> bool {
        let is_skipped = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        is_skipped
    }

    fn module(&mut self, line: Line) -> bool {
        if self.is_skipped() {
            return false;
        }
        let result = self.service.result_of(&line);
        let action = result.map_or("", |result| line.action(result)).to_owned();
        self.reached.push(line);
        self.skip = action.parse().unwrap_or(0);
        matches!(action.as_str(), "done" | "die")
    }

    /// Of a line that begins with `-` the module may be missing.
    fn has_module(&self, module: &str) -> bool {
        if Path::new(module).is_absolute() {
            return self.node.at(module).exists();
        }
        MODULES.iter().any(|dir| {
            let found = glob::glob(&self.node.at(format!("{dir}/{module}")).to_string_lossy());
            found.into_iter().flatten().flatten().next().is_some()
        })
    }
}

fn name_of(module: &str) -> String {
    let file = module.rsplit('/').next().unwrap_or(module);
    file.strip_suffix(".so").unwrap_or(file).to_owned()
}

/// With the number of their first line: without comments, and those that a backslash continues joined.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, before)) => *before = format!("{before} {part}"),
            None => lines.push((number, part.to_owned())),
        }
        goes_on = continues;
    }
    lines
}

/// What is in brackets is one word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), line.trim());
    while !rest.is_empty() {
        let end = if rest.starts_with('[') {
            rest.find(']').map(|at| at + 1)
        } else {
            rest.find(char::is_whitespace)
        };
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::{MadeUp, node};

    const FILE: &str = "/etc/pam.d/systemd-user";

    fn modules(made_up: &MadeUp, kind: &'static str) -> Vec<String> {
        let service = Service("systemd-user");
        let lines = reached(&made_up.node, Path::new(FILE), kind, &service);
        lines.into_iter().map(|line| line.module).collect()
    }

    /// Show that stacks are read with all that pam.d(5) has: comments, lines that go on, includes of each form, values
    /// in brackets, and modules that may be missing.
    #[test]
    fn stacks_are_read_as_pam_reads_them() {
        let made_up = node()
            .with(
                FILE,
                "# account required pam_a.so\n@include common\naccount include /opt/pam/more # x\n\
                 -account required pam_missing.so\nACCOUNT [success=ok \\\n default=bad] /lib/security/pam_b.so x=1\n\
                 -account required pam_there.so\nsession required pam_s.so\nauth required pam_auth.so\n",
            )
            .with("/usr/lib/pam.d/common", "account required pam_c.so\nsession optional pam_t.so")
            .with("/opt/pam/more", "account substack deep\nsession required pam_not.so\naccount include more")
            .with("/usr/etc/pam.d/deep", "account required pam_d.so\n")
            .with("/usr/lib/x86_64-linux-gnu/security/pam_there.so", "");
        assert_eq!(modules(&made_up, "account"), ["pam_c", "pam_d", "pam_b", "pam_there"]);
        assert_eq!(modules(&made_up, "session"), ["pam_t", "pam_s"]);
        let lines = reached(&made_up.node, Path::new(FILE), "account", &Service("x"));
        assert_eq!((lines[2].number, lines[2].argument("x")), (5, Some("1")));
        assert_eq!((lines[2].action("success"), lines[2].action("perm_denied")), ("ok", "bad"));
    }

    /// Show that a file which includes itself is no trap.
    #[test]
    fn a_circle_is_left() {
        let made_up =
            node().with(FILE, "account include systemd-user\naccount required pam_a.so\n");
        assert_eq!(modules(&made_up, "account").len(), 17);
    }

    /// Show that what is jumped over, and what stands behind the end of a stack, is not reached.
    #[test]
    fn jumps_and_ends_are_taken() {
        const SUB: &str = "account sufficient pam_permit.so\naccount required pam_x.so\n";
        let of =
            |text: &str| modules(&node().with(FILE, text).with("/etc/pam.d/sub", SUB), "account");
        let one = "account required pam_one.so\naccount required pam_two.so\n";
        let jump =
            "account [success=1 default=ignore] pam_succeed_if.so quiet service = systemd-user\n";
        assert_eq!(of(&format!("{jump}{one}")), ["pam_succeed_if", "pam_two"]);
        let others = "account [success=ignore default=1] pam_succeed_if.so service in sshd:login\n";
        assert_eq!(of(&format!("{others}{one}")), ["pam_succeed_if", "pam_two"]);
        let end = "account sufficient pam_unix.so no_pass_expiry\n";
        assert_eq!(of(&format!("{end}{one}")), ["pam_unix"]);
        assert_eq!(of(&format!("account include sub\n{one}")), ["pam_permit"]);
        assert_eq!(
            of(&format!("account substack sub\n{one}")),
            ["pam_permit", "pam_one", "pam_two"]
        );
        let unknown = "account [success=1 default=ignore] pam_succeed_if.so user ingroup wheel\n";
        assert_eq!(of(&format!("{unknown}{one}")), ["pam_succeed_if", "pam_one", "pam_two"]);
    }
}
