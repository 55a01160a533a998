//! Whom the callbacks ask on the system bus: `bus MEASURE VARIANT MESSAGE`, as `busctl monitor`
//! prints messages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

/// What one callback, or one job, asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The methods called, in order, without the bus's own greeting.
    pub(super) calls: Vec<String>,
    /// Messages from and to its connections; signals that the bus sends to all are not among them.
    pub(super) messages: usize,
    connections: BTreeSet<String>,
}

/// By measure and variant.
pub(super) type AllAsked = BTreeMap<(String, String), Asked>;

/// Adds what a script printed; other lines are left alone.
///
/// # Errors
/// A message is not JSON.
pub(super) fn read(all: &mut AllAsked, printed: &str) -> Result<()> {
    for line in printed.lines().filter(|line| line.starts_with("bus ")) {
        let mut words = line.splitn(4, ' ').skip(1).map(str::to_owned);
        let mut word = || words.next().with_context(|| format!("no message: {line}"));
        let (measure, variant, message) = (word()?, word()?, word()?);
        let message = serde_json::from_str(&message).with_context(|| line.to_owned())?;
        let several = measure.ends_with("-job");
        all.entry((measure, variant)).or_default().add(&message, several);
    }
    Ok(())
}

impl Asked {
    /// A callback is one process with one connection, the first that begins; later ones are of the
    /// session that it opens. A job has `several`, and is looked at where the session is there.
    fn add(&mut self, message: &Value, several: bool) {
        let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let (sender, member) = (field("sender"), field("member"));
        let is_call = field("type") == "method_call";
        if is_call && member == "Hello" && (several || self.connections.is_empty()) {
            self.connections.insert(sender.to_owned());
        }
        let is_sent = self.connections.contains(sender);
        if is_sent || self.connections.contains(field("destination")) {
            self.messages += 1;
        }
        if is_sent && is_call && member != "Hello" {
            self.calls.push(member.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
        bus cold-prolog ours {\"type\":\"signal\",\"sender\":\"org.freedesktop.DBus\",\"member\":\"NameOwnerChanged\"}\n\
        bus cold-prolog ours {\"type\":\"method_call\",\"sender\":\":1.5\",\"member\":\"Hello\"}\n\
        bus cold-prolog ours {\"type\":\"method_return\",\"destination\":\":1.5\"}\n\
        sample cold-prolog ours syscalls 4\n\
        bus cold-prolog ours {\"type\":\"method_call\",\"sender\":\":1.5\",\"member\":\"Subscribe\"}\n\
        bus cold-prolog ours {\"type\":\"method_call\",\"sender\":\":1.2\",\"member\":\"StartUnit\"}\n\
        bus cold-prolog ours {\"type\":\"method_call\",\"sender\":\":1.6\",\"member\":\"Hello\"}\n\
        bus cold-prolog ours {\"type\":\"method_call\",\"sender\":\":1.6\",\"member\":\"Reload\"}\n";

    fn asked(printed: &str, measure: &str) -> Asked {
        let mut all = AllAsked::new();
        read(&mut all, printed).unwrap();
        all.remove(&(measure.to_owned(), "ours".to_owned())).unwrap()
    }

    /// Show that only the callback's own connection counts, not that of the session it opens.
    #[test]
    fn the_first_connection_is_the_callbacks() {
        let asked = asked(PRINTED, "cold-prolog");
        assert_eq!((asked.calls, asked.messages), (vec!["Subscribe".to_owned()], 3));
    }

    /// Show that all callbacks of a job count.
    #[test]
    fn a_job_has_several_connections() {
        let asked = asked(&PRINTED.replace("cold-prolog", "warm-job"), "warm-job");
        assert_eq!((asked.calls, asked.messages), (vec!["Subscribe".into(), "Reload".into()], 5));
    }
}
