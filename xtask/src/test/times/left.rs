//! How long a run still takes, by what an earlier one took.

use std::sync::{Mutex, PoisonError};

use super::Times;
use crate::suite::Suite;
use crate::test::units::Unit;

/// What is still to be run, seen by all workers.
pub(crate) struct Left {
    earlier: Times,
    /// Areas that have not ended, each as often as it is to be run.
    areas: Mutex<Vec<(Suite, &'static str)>>,
    workers: u8,
}

impl Left {
    /// What these units have left when each area is run so often.
    pub(crate) fn of(earlier: Times, units: &[&Unit], repeat: usize, workers: u8) -> Self {
        let areas = |unit: &&Unit| -> Vec<_> {
            let suite = unit.suite;
            unit.targets.repeat(repeat).into_iter().map(|area| (suite, area)).collect()
        };
        let areas = units.iter().flat_map(areas).collect();
        Self { earlier, areas: Mutex::new(areas), workers }
    }

    /// One run of an area has ended.
    pub(crate) fn end(&self, suite: Suite, area: &str) {
        self.with(|areas| {
            if let Some(place) = areas.iter().position(|own| *own == (suite, area)) {
                areas.swap_remove(place);
            }
        });
    }

    /// A unit has ended, maybe before its areas could begin.
    pub(crate) fn end_unit(&self, unit: &Unit) {
        self.with(|areas| areas.retain(|area| !has(unit, area)));
    }

    /// `, about 14 min in this unit, 23 min in all left`; nothing where no earlier run is known.
    pub(crate) fn forecast(&self, unit: &Unit) -> String {
        let areas = self.with(|areas| areas.clone());
        let in_unit = self.seconds(areas.iter().filter(|area| has(unit, area)));
        let Some(in_unit) = in_unit else { return String::new() };
        let shared = self.seconds(areas.iter()).unwrap_or_default() / f64::from(self.workers);
        // The last unit is one worker's, however many there are.
        let [in_unit, in_all] = [in_unit, shared.max(in_unit)].map(minutes);
        format!(", about {in_unit} min in this unit, {in_all} min in all left")
    }

    /// Of areas that are known.
    fn seconds<'a>(&self, areas: impl Iterator<Item = &'a (Suite, &'static str)>) -> Option<f64> {
        let known = areas.filter_map(|&(suite, area)| self.earlier.expected(suite, area));
        known.reduce(|sum, seconds| sum + seconds)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<(Suite, &'static str)>) -> T) -> T {
        change(&mut self.areas.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn has(unit: &Unit, (suite, area): &(Suite, &'static str)) -> bool {
    unit.suite == *suite && unit.targets.contains(area)
}

/// Begun ones count: nothing is left in no minutes.
fn minutes(seconds: f64) -> f64 {
    (seconds / 60.0).ceil()
}

#[cfg(test)]
mod tests {
    use super::super::tests::ran;
    use super::*;
    use crate::test::units;

    /// Areas on trixie with minutes that an earlier run took, in units of their own.
    fn left(minutes: &[(&str, u64)], repeat: usize) -> (Left, Vec<Unit>) {
        let mut earlier = Times::default();
        for (area, minutes) in minutes {
            earlier.note(Suite::Trixie, area, &ran(minutes * 60, &[]));
        }
        let areas = ["crashes", "hold", "capped"].map(str::to_owned);
        let units = units::of(false, &areas, None).unwrap();
        (Left::of(earlier, &units.iter().collect::<Vec<_>>(), repeat, 2), units)
    }

    /// Show that the workers share what is left, that none ends before its own unit, and that what has
    /// ended is no longer left.
    #[test]
    fn what_is_left_is_shared() {
        let (left, units) = left(&[("crashes", 15), ("hold", 20), ("capped", 5)], 1);
        let [held, crashes] = units.as_slice() else { panic!("two units") };
        assert_eq!(left.forecast(held), ", about 25 min in this unit, 25 min in all left");
        assert_eq!(left.forecast(crashes), ", about 15 min in this unit, 20 min in all left");
        left.end(Suite::Trixie, "hold");
        assert_eq!(left.forecast(held), ", about 5 min in this unit, 10 min in all left");
        left.end_unit(crashes);
        assert_eq!(left.forecast(held), ", about 5 min in this unit, 5 min in all left");
    }

    /// Show that an area that is repeated takes as long as often, and that it ends once at a time.
    #[test]
    fn a_repeated_area_is_left_as_often() {
        let (left, units) = left(&[("crashes", 15)], 3);
        let crashes = units.iter().find(|unit| unit.targets == ["crashes"]).unwrap();
        left.end(Suite::Trixie, "crashes");
        assert_eq!(left.forecast(crashes), ", about 30 min in this unit, 30 min in all left");
    }

    /// Show that nothing is said of a unit that no earlier run has had.
    #[test]
    fn no_figure_is_made_up() {
        let (left, units) = left(&[("crashes", 15)], 1);
        let held = units.iter().find(|unit| unit.targets.contains(&"hold")).unwrap();
        assert_eq!(left.forecast(held), "");
    }
}
