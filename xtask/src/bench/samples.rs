//! What the scripts on the node print, `sample MEASURE VARIANT QUANTITY VALUE`, and its statistics.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// What was measured: what ran, in which variant, and what of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) measure: String,
    pub(super) quantity: String,
    pub(super) variant: String,
}

/// All figures of a run, each in the order in which it was taken.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<Key, Series>);

impl Samples {
    /// Adds what a script printed; other lines are left alone.
    ///
    /// # Errors
    /// A sample line is not one.
    pub(super) fn read(&mut self, printed: &str) -> Result<()> {
        for line in printed.lines().filter(|line| line.starts_with("sample ")) {
            let (key, value) = parse(line).with_context(|| format!("no sample: {line}"))?;
            self.0.entry(key).or_default().0.push(value);
        }
        Ok(())
    }

    /// The values of one figure; none if it was not taken.
    pub(super) fn series(&self, measure: &str, variant: &str, quantity: &str) -> Option<Series> {
        let [measure, variant, quantity] = [measure, variant, quantity].map(str::to_owned);
        self.0.get(&Key { measure, quantity, variant }).cloned()
    }

    /// Every figure.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Series)> {
        self.0.iter()
    }
}

fn parse(line: &str) -> Option<(Key, f64)> {
    let words = line.split(' ').collect::<Vec<_>>();
    let ["sample", measure, variant, quantity, value] = words[..] else { return None };
    let [measure, variant, quantity] = [measure, variant, quantity].map(str::to_owned);
    let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some((Key { measure, quantity, variant }, value))
}

/// Values of one figure, a round each. Two figures are put together round by round, so that what
/// changes on the machine from round to round is in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series(Vec<f64>);

impl Series {
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.with(other, |one, other| one - other)
    }

    pub(super) fn over(&self, other: &Self) -> Self {
        self.with(other, |one, other| one / other)
    }

    fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| combine(*one, *other)).collect())
    }

    /// None of an empty series.
    pub(super) fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied();
        let middle = sorted.len() / 2;
        let upper = at(middle)?;
        let lower = if sorted.len().is_multiple_of(2) { at(middle - 1)? } else { upper };
        // The nearest rank: the least value that 95 % do not exceed.
        let rank = (sorted.len() * 95).div_ceil(100);
        let (p95, max) = (at(rank - 1)?, at(sorted.len() - 1)?);
        Some(Summary { count: sorted.len(), median: f64::midpoint(lower, upper), p95, max })
    }

    pub(super) fn median(&self) -> Option<f64> {
        self.summary().map(|summary| summary.median)
    }
}

/// What is shown of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) median: f64,
    pub(super) p95: f64,
    pub(super) max: f64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The figures of a run that printed this.
    pub(in super::super) fn samples(printed: &str) -> Samples {
        let mut samples = Samples::default();
        samples.read(printed).unwrap();
        samples
    }

    /// Show that lines become series in their order, and that other lines do not disturb.
    #[test]
    fn lines_become_series() {
        let samples = samples("sample a ours wall_us 3\nnoise\nsample a ours wall_us 1.5\n");
        assert_eq!(samples.series("a", "ours", "wall_us"), Some(Series(vec![3.0, 1.5])));
        assert_eq!(samples.series("a", "floor", "wall_us"), None);
    }

    /// Show that a figure that is none is an error: a tool that printed nothing is not zero.
    #[test]
    fn a_missing_value_is_an_error() {
        for line in ["sample a ours syscalls ", "sample a ours", "sample a ours wall_us NaN"] {
            assert!(Samples::default().read(line).is_err(), "{line}");
        }
    }

    /// Show the statistics of an odd and an even number of values.
    #[test]
    fn summaries_are_right() {
        let summary = Series(vec![9.0, 1.0, 5.0]).summary().unwrap();
        assert_eq!(summary, Summary { count: 3, median: 5.0, p95: 9.0, max: 9.0 });
        let hundred = Series((1..=100).map(f64::from).collect()).summary().unwrap();
        assert_eq!(hundred, Summary { count: 100, median: 50.5, p95: 95.0, max: 100.0 });
        assert_eq!(Series::default().summary(), None);
    }

    /// Show that a ratio is taken in each round, so that a slow round counts in both.
    #[test]
    fn ratios_are_taken_round_by_round() {
        let (ours, floor) = (Series(vec![2.0, 20.0, 3.0]), Series(vec![1.0, 10.0, 2.0]));
        assert_eq!(ours.over(&floor), Series(vec![2.0, 2.0, 1.5]));
        assert_eq!(ours.minus(&floor).median(), Some(1.0));
        assert_eq!(ours.plus(&floor).median(), Some(5.0));
    }
}
