//! What a run is shown as: Markdown for people, JSON for programs.

use serde_json::{Value, json};

use super::bus::{AllAsked, Asked};
use super::goal::Outcome;
use super::samples::{Key, Samples, Series, Summary};

/// A run of the bench.
pub(super) struct Report {
    pub(super) machine: Vec<(String, String)>,
    pub(super) samples: Samples,
    pub(super) asked: AllAsked,
    pub(super) outcomes: Vec<Outcome>,
}

/// What a quantity is called, what it is divided by, and its digits. The others are in JSON only.
const QUANTITIES: [(&str, &str, f64, usize); 19] = [
    ("wall_us", "ms", 1000.0, 1),
    ("first_us", "ms until its task", 1000.0, 1),
    ("end_us", "ms from its task to its end", 1000.0, 1),
    ("cpu_us", "ms of CPU", 1000.0, 1),
    ("systemd_us", "ms, systemd's own part", 1000.0, 1),
    ("dlopen_us", "ms to load the .so", 1000.0, 2),
    ("call_us", "ms in callbacks", 1000.0, 2),
    ("syscalls", "system calls", 1.0, 0),
    ("instructions", "thousand instructions", 1000.0, 0),
    ("rss_kb", "KB of memory", 1.0, 0),
    ("size_bytes", "bytes", 1.0, 0),
    ("memory_bytes", "MB of memory", 1e6, 1),
    ("processes", "processes", 1.0, 0),
    ("wakes_per_min", "wakes a minute", 1.0, 0),
    ("threads", "threads", 1.0, 0),
    ("bus_connections", "connections to the bus", 1.0, 0),
    ("bus_calls", "calls on the bus", 1.0, 0),
    ("jobs_per_min", "jobs a minute", 1.0, 1),
    ("lost", "jobs that did not run", 1.0, 0),
];

impl Report {
    /// The tables, goals first.
    pub(super) fn markdown(&self) -> String {
        let goals = table("| ratio | this run | goal | |", self.outcomes.iter().map(goal_row));
        let head = "| what | of | variant | count | median | p95 | max |";
        let figures = table(head, self.samples.iter().filter_map(figure_row));
        let bus = table("| | calls on the bus | messages |", self.asked.iter().map(bus_row));
        let machine = table("| | |", self.machine.iter().map(|(what, is)| row([what, is])));
        format!("{goals}\n{figures}\n{bus}\n{machine}")
    }

    /// Every figure, in the units of its name.
    pub(super) fn json(&self) -> Value {
        let figures = self.samples.iter().filter_map(|(key, series)| {
            let Summary { count, median, p95, max } = series.summary()?;
            let Key { measure, quantity, variant } = key;
            Some(json!({
                "measure": measure, "variant": variant, "quantity": quantity,
                "count": count, "median": median, "p95": p95, "max": max,
            }))
        });
        let ratios = self.outcomes.iter().map(|outcome| {
            let Outcome { what, value, goal, kept, .. } = outcome;
            json!({ "what": what, "value": value, "goal": goal, "kept": kept })
        });
        let asked = self.asked.iter().map(|((measure, variant), asked)| {
            json!({
                "measure": measure, "variant": variant,
                "calls": asked.calls, "messages": asked.messages,
            })
        });
        let machine = self.machine.iter().map(|(what, is)| (what.clone(), json!(is)));
        json!({
            "version": 1,
            "machine": machine.collect::<Value>(),
            "figures": figures.collect::<Value>(),
            "ratios": ratios.collect::<Value>(),
            "bus": asked.collect::<Value>(),
        })
    }
}

fn figure_row((key, series): (&Key, &Series)) -> Option<String> {
    let (_, unit, divisor, digits) = QUANTITIES.iter().find(|(name, ..)| *name == key.quantity)?;
    // Memory is that of the process, and warm as much as cold.
    if key.quantity == "rss_kb" && key.measure != "warm-prolog" {
        return None;
    }
    let Summary { count, median, p95, max } = series.summary()?;
    let show = |value: f64| format!("{:.digits$}", value / divisor);
    let (count, median, p95, max) = (count.to_string(), show(median), show(p95), show(max));
    let what = key.measure.replace('-', " ");
    Some(row([&what, *unit, &key.variant, &count, &median, &p95, &max].map(AsRef::as_ref)))
}

fn goal_row(outcome: &Outcome) -> String {
    let verdict = match outcome.kept {
        Some(true) => "ok",
        Some(false) => "**missed**",
        None => "",
    };
    row([outcome.what, &outcome.shown, &outcome.goal, verdict])
}

fn bus_row(((measure, variant), asked): (&(String, String), &Asked)) -> String {
    let calls = if asked.calls.is_empty() { "none".to_owned() } else { asked.calls.join(", ") };
    let what = format!("{}, {variant}", measure.replace('-', " "));
    row([&what, &calls, &asked.messages.to_string()].map(String::as_str))
}

fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    let columns = head.matches('|').count() - 1;
    format!("{head}\n|{}\n{}", "---|".repeat(columns), rows.collect::<String>())
}

fn row<const N: usize>(cells: [&str; N]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::samples::tests::samples;
    use crate::bench::{bus, goals};

    fn report() -> Report {
        let printed = "sample warm-prolog floor wall_us 30000\nsample warm-epilog floor wall_us 0\n\
            sample warm-prolog ours wall_us 60000\nsample warm-epilog ours wall_us 0\n\
            sample warm-epilog ours rss_kb 9\n\
            bus warm-prolog ours {\"type\":\"method_call\",\"sender\":\":1.5\",\"member\":\"Hello\"}\n";
        let samples = samples(printed);
        let mut asked = AllAsked::new();
        bus::read(&mut asked, printed).unwrap();
        let outcomes = goals::outcomes(&samples);
        let machine = vec![("node: kernel".to_owned(), "6.12".to_owned())];
        Report { machine, samples, asked, outcomes }
    }

    /// Show that each figure has its row in its unit, and each goal its verdict.
    #[test]
    fn tables_have_units_and_verdicts() {
        let markdown = report().markdown();
        for line in [
            "| warm prolog + epilog: ours to the floor | 2.00 | at most 1.50 | **missed** |",
            "| warm prolog | ms | ours | 1 | 60.0 | 60.0 | 60.0 |",
            "| warm prolog, ours | none | 1 |",
            "| node: kernel | 6.12 |",
        ] {
            assert!(markdown.lines().any(|shown| shown == line), "no {line} in {markdown}");
        }
        assert!(!markdown.contains("KB of memory"));
    }

    /// Show that programs get what people see, and all figures.
    #[test]
    fn json_has_everything() {
        let json = report().json();
        assert_eq!(json["machine"]["node: kernel"], "6.12");
        assert_eq!(json["figures"].as_array().map(Vec::len), Some(5));
        assert_eq!(json["ratios"][0]["kept"], false);
        assert_eq!(json["bus"][0]["messages"], 1);
    }
}
