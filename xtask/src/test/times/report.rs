//! Where the time of a test run went, for people.

use super::{Area, Nodes, Times};

/// As many tests as are worth a look.
const LONGEST: usize = 20;

/// Shorter steps would be shown as 0 s.
const SHORTEST: f64 = 0.5;

/// A line of the report, sorted by its seconds.
struct Row {
    seconds: f64,
    name: String,
    more: String,
}

impl Times {
    /// The report, each part only if there is something to tell.
    pub(crate) fn report(&self) -> String {
        let idle = self.idle_percent.map(|idle| format!(", the host's cores idle for {idle} %"));
        let head = format!("The run took {:.0} s{}.\n", self.seconds, idle.unwrap_or_default());
        let parts = [
            part("Areas, the longest first", &self.area_rows()),
            part(&format!("The {LONGEST} longest tests"), &self.test_rows()),
            part("Preparing nodes", &self.nodes.iter().map(Nodes::row).collect::<Vec<_>>()),
            part("Steps on the host", &self.step_rows()),
        ];
        head + &parts.concat()
    }

    /// How often which test failed in areas that were run again and again.
    pub(crate) fn repeated(&self) -> String {
        let lines = self.all_areas().map(|(name, area)| area.failures(&name));
        lines.collect::<Vec<_>>().concat()
    }

    fn all_areas(&self) -> impl Iterator<Item = (String, &Area)> {
        self.areas.iter().flat_map(|(suite, areas)| {
            areas.iter().map(|(name, area)| (format!("{} {name}", suite.name()), area))
        })
    }

    fn area_rows(&self) -> Vec<Row> {
        let row = |(name, area): (String, &Area)| {
            let runs = (area.runs > 1).then(|| format!(" in {} runs", area.runs));
            let more = tests(area.tally.all()) + &runs.unwrap_or_default();
            Row { seconds: area.seconds, name, more }
        };
        let mut rows = self.all_areas().map(row).collect::<Vec<_>>();
        if !self.host.steps.is_empty() {
            let (seconds, more) = (self.host.seconds, tests(self.host.tally.all()));
            rows.push(Row { seconds, name: "host".to_owned(), more });
        }
        longest_first(rows)
    }

    fn test_rows(&self) -> Vec<Row> {
        let rows = self.all_areas().flat_map(|(place, area)| {
            area.tests.iter().map(move |(name, test)| Row {
                seconds: test.seconds,
                name: place.clone(),
                more: name.clone(),
            })
        });
        let mut rows = longest_first(rows.collect());
        rows.truncate(LONGEST);
        rows
    }

    fn step_rows(&self) -> Vec<Row> {
        let row = |lap: &super::laps::Lap| {
            let (name, more) = (lap.what.clone(), String::new());
            Row { seconds: lap.seconds, name, more }
        };
        longest_first(self.host.steps.0.iter().map(row).collect())
    }
}

impl Area {
    /// How often which test failed in it.
    fn failures(&self, name: &str) -> String {
        let mut failures =
            self.tests.iter().map(|(name, test)| (name.clone(), test.failed)).collect::<Vec<_>>();
        let named: u32 = failures.iter().map(|(_, failed)| failed).sum();
        // A compiler's error, or an area that did not end in time.
        failures.push(("cargo test".to_owned(), self.tally.failed.saturating_sub(named)));
        failures.retain(|(_, failed)| *failed > 0);
        let head = format!("{name}, {} runs:", self.runs);
        if failures.is_empty() {
            return head + " nothing failed\n";
        }
        let lines =
            failures.iter().map(|(test, failed)| format!("\n  {test} failed {failed} times"));
        head + &lines.collect::<String>() + "\n"
    }
}

impl Nodes {
    /// `trixie crashes  45 s  waiting 12 s, plugins 3 s, image 0 s, boot 30 s`
    fn row(&self) -> Row {
        let long = self.steps.0.iter().filter(|lap| lap.seconds >= SHORTEST);
        let steps = long.map(|lap| format!("{} {:.0} s", lap.what, lap.seconds));
        let first = self.areas.first().map(String::as_str).unwrap_or_default();
        let others = self.areas.len().saturating_sub(1);
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        Row {
            seconds: self.steps.seconds(),
            name: format!("{} {first}{others}", self.suite.name()),
            more: steps.collect::<Vec<_>>().join(", "),
        }
    }
}

fn tests(number: u32) -> String {
    if number == 1 { "1 test".to_owned() } else { format!("{number} tests") }
}

fn longest_first(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    rows
}

fn part(title: &str, rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let line = |Row { seconds, name, more }: &Row| {
        format!("  {name:width$} {seconds:6.0} s  {more}").trim_end().to_owned() + "\n"
    };
    format!("\n{title}:\n{}", rows.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::ran;
    use super::super::{Laps, Tally};
    use super::*;
    use crate::suite::Suite;
    use crate::test::units;

    fn times() -> Times {
        let mut times = Times { seconds: 1800.4, idle_percent: Some(7), ..Times::default() };
        times.note(Suite::Trixie, "policy", &ran(90, &[("short", 2, false), ("long", 60, false)]));
        times.note(Suite::Trixie, "crashes", &ran(897, &[("killed", 800, true)]));
        let mut steps = Laps::default();
        steps.note("waiting", Duration::from_secs(12));
        steps.note("image", Duration::from_millis(400));
        steps.note("boot", Duration::from_secs(30));
        let areas = ["hold", "capped"].map(str::to_owned);
        times.note_nodes(&units::of(false, &areas, None).unwrap()[0], steps);
        times.note_step("formatting", Duration::from_secs(2));
        times.note_step("lints", Duration::from_secs(300));
        times.note_host(Duration::from_secs(500), Tally { passed: 210, failed: 0, skipped: 1 });
        times
    }

    /// Show the report.
    #[test]
    fn the_report_begins_with_what_took_longest() {
        let report = "\
            The run took 1800 s, the host's cores idle for 7 %.\n\
            \n\
            Areas, the longest first:\n\
            \u{20} trixie crashes    897 s  1 test\n\
            \u{20} host              500 s  211 tests\n\
            \u{20} trixie policy      90 s  2 tests\n\
            \n\
            The 20 longest tests:\n\
            \u{20} trixie crashes    800 s  killed\n\
            \u{20} trixie policy      60 s  long\n\
            \u{20} trixie policy       2 s  short\n\
            \n\
            Preparing nodes:\n\
            \u{20} trixie hold and 1 more     42 s  waiting 12 s, boot 30 s\n\
            \n\
            Steps on the host:\n\
            \u{20} lints         300 s\n\
            \u{20} formatting      2 s\n";
        assert_eq!(times().report(), report);
    }

    /// Show that a run of nothing has little to tell.
    #[test]
    fn what_was_not_run_is_not_told() {
        assert_eq!(Times::default().report(), "The run took 0 s.\n");
    }

    /// Show that it is counted how often a test failed, that what failed without a test's name is no
    /// less, and that runs of an area add up.
    #[test]
    fn repeated_areas_tell_what_failed() {
        let mut times = Times::default();
        for has_failed in [true, false, true] {
            times.note(
                Suite::Forky,
                "core",
                &ran(10, &[("good", 1, false), ("bad", 2, has_failed)]),
            );
            times.note(Suite::Forky, "hold", &ran(10, &[("held", 1, false)]));
        }
        let mut broken = ran(1, &[]);
        broken.counted.tally.failed = 1;
        times.note(Suite::Forky, "core", &broken);
        let told = "forky core, 4 runs:\n  bad failed 2 times\n  cargo test failed 1 times\n\
            forky hold, 3 runs: nothing failed\n";
        assert_eq!(times.repeated(), told);
        assert!(
            times.report().contains("forky core     31 s  7 tests in 4 runs"),
            "{}",
            times.report()
        );
    }
}
