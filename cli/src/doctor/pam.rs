//! The PAM stack of users' managers: user@.service has `PAMName=systemd-user`, and starts where there is no job yet.

mod access;
mod stack;

use super::Finding;
use crate::node::Node;
use stack::Line;

const CHECK: &str = "pam";

/// What systemd asks before it starts a manager: pam_acct_mgmt(3) and pam_open_session(3). What else it asks may fail.
const KINDS: [&str; 2] = ["account", "session"];

/// By whose name a stack is asked.
struct Service(&'static str);

const MANAGERS: Service = Service("systemd-user");

pub(super) fn check(node: &Node) -> Finding {
    let Some(file) = stack::file(node, MANAGERS.0) else {
        let found = "no PAM stack systemd-user: a user's manager cannot start";
        return Finding::fail(
            CHECK,
            found,
            "apt install libpam-systemd; on others reinstall systemd",
        );
    };
    let lines = KINDS.iter().flat_map(|kind| stack::reached(node, &file, kind, &MANAGERS));
    let wrong = lines.filter_map(|line| wrong(node, &line)).max_by_key(|finding| finding.state);
    wrong.unwrap_or_else(|| Finding::ok(CHECK, file.display().to_string()))
}

fn wrong(node: &Node, line: &Line) -> Option<Finding> {
    match line.module.as_str() {
        "pam_access" if keeps_out(line, "perm_denied") => access(node, line),
        "pam_nologin" if keeps_out(line, "auth_err") => Some(nologin(node, line)),
        "pam_slurm_adopt" if keeps_out(line, "perm_denied") => adopt(line),
        "pam_slurm" if keeps_out(line, "perm_denied") => {
            let found =
                "pam_slurm refuses who has no job that runs, and at its prolog no job does yet";
            Some(Finding::fail(CHECK, at(line, found), past(line)))
        }
        _ => None,
    }
}

/// Whether that result is the stack's.
fn keeps_out(line: &Line, result: &str) -> bool {
    let action = line.action(result);
    action != "ignore" && action.parse::<usize>().is_err()
}

/// Where a line is, and what it does.
fn at(line: &Line, found: &str) -> String {
    format!("{}, line {}: {found}", line.file.display(), line.number)
}

/// A line that leads managers past the next one.
fn past(line: &Line) -> String {
    let (kind, service) = (line.kind, MANAGERS.0);
    format!(
        "above it '{kind} [success=1 default=ignore] pam_succeed_if.so quiet service = {service}'"
    )
}

fn access(node: &Node, line: &Line) -> Option<Finding> {
    let rule = access::refusing(node, line.argument("accessfile"), &MANAGERS)?;
    let place = format!("{}, line {}", rule.file.display(), rule.number);
    let found = format!("pam_access starts no manager of who is refused by {place}");
    Some(Finding::warn(CHECK, at(line, &found), format!("'+:ALL:{}' above {place}", MANAGERS.0)))
}

fn nologin(node: &Node, line: &Line) -> Finding {
    let usual = ["/etc/nologin", "/run/nologin"];
    let named = line.argument("file").map(|file| [file]);
    let files = named.as_ref().map_or(&usual[..], |named| &named[..]);
    if let Some(there) = node.first(files) {
        let found = format!("pam_nologin starts no manager while {there} is there");
        return Finding::fail(
            CHECK,
            at(line, &found),
            format!("remove {there}, or {}", past(line)),
        );
    }
    let found = format!("pam_nologin would start no manager while {} is there", files.join(" or "));
    Finding::warn(CHECK, at(line, &found), past(line))
}

/// It looks at its own service only, which is sshd by default (pam_slurm_adopt.c).
fn adopt(line: &Line) -> Option<Finding> {
    let service = line.argument("service").unwrap_or("sshd");
    let denies = line.argument("action_no_jobs").is_none_or(|action| action == "deny");
    let found = format!(
        "pam_slurm_adopt with service={service} refuses who has no job here yet, and adopts managers into jobs"
    );
    let is_asked = service == "*" || service == MANAGERS.0;
    let cure = || format!("service=sshd there, or {}", past(line));
    (is_asked && denies).then(|| Finding::fail(CHECK, at(line, &found), cure()))
}

impl Service {
    /// What a module is known to answer: pam_unix(8) to an account that is there, pam_succeed_if(8) to what it asks of
    /// the service alone.
    fn result_of(&self, line: &Line) -> Option<&'static str> {
        let is_it = match line.module.as_str() {
            "pam_permit" => true,
            "pam_unix" => line.kind == "account",
            "pam_succeed_if" => self.fits(&line.arguments)?,
            _ => return None,
        };
        Some(if is_it { "success" } else { "auth_err" })
    }

    /// None if anything else is asked.
    fn fits(&self, arguments: &[String]) -> Option<bool> {
        const FLAGS: [&str; 6] =
            ["debug", "use_uid", "quiet", "quiet_fail", "quiet_success", "audit"];
        let asked = arguments.iter().map(String::as_str).filter(|word| !FLAGS.contains(word));
        let asked: Vec<_> = asked.collect();
        let (conditions, rest) = asked.as_chunks::<3>();
        let answers = conditions.iter().map(|condition| self.fits_one(*condition));
        let all =
            answers.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty() && rest.is_empty())?;
        Some(all.into_iter().all(|fits| fits))
    }

    fn fits_one(&self, [what, how, named]: [&str; 3]) -> Option<bool> {
        let is_listed = || named.split(':').any(|name| name == self.0);
        match (what, how) {
            ("service", "=" | "eq") => Some(named == self.0),
            ("service", "!=" | "ne") => Some(named != self.0),
            ("service", "in") => Some(is_listed()),
            ("service", "notin") => Some(!is_listed()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
