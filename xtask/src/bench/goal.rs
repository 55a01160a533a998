//! A promise of the plugin's, and how a run did by it.

use std::cmp::Ordering;

use super::samples::Samples;
use Bound::{AtLeast, AtMost};
use Unit::{Count, Kb, Ms, Times};

/// One promise. A goal of none is there to be read.
pub(super) struct Goal {
    what: &'static str,
    unit: Unit,
    bound: Option<Bound>,
    value: fn(&Samples) -> Option<f64>,
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Times,
    Ms,
    Kb,
    Count,
}

#[derive(Clone, Copy)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// How a run did by one goal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) shown: String,
    pub(super) goal: String,
    pub(super) kept: Option<bool>,
}

pub(super) const fn goal(
    what: &'static str,
    unit: Unit,
    bound: Bound,
    value: fn(&Samples) -> Option<f64>,
) -> Goal {
    Goal { what, unit, bound: Some(bound), value }
}

pub(super) const fn shown(
    what: &'static str,
    unit: Unit,
    value: fn(&Samples) -> Option<f64>,
) -> Goal {
    Goal { what, unit, bound: None, value }
}

impl Goal {
    /// None without figures, and of what is no number: a ratio to nothing.
    pub(super) fn outcome(&self, samples: &Samples) -> Option<Outcome> {
        let value = (self.value)(samples)?;
        value.is_finite().then(|| Outcome {
            what: self.what,
            value,
            shown: self.unit.show(value),
            goal: self.bound.map(|bound| bound.show(self.unit)).unwrap_or_default(),
            kept: self.bound.map(|bound| bound.is_kept(value)),
        })
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Times => format!("{value:.2}"),
            Ms => format!("{value:.2} ms"),
            Count => format!("{value:.0}"),
            Kb => format!("{value:.0} KB"),
        }
    }
}

impl Bound {
    fn show(self, unit: Unit) -> String {
        match self {
            AtMost(bound) => format!("at most {}", unit.show(bound)),
            AtLeast(bound) => format!("at least {}", unit.show(bound)),
        }
    }

    fn is_kept(self, value: f64) -> bool {
        match self {
            AtMost(bound) => value.total_cmp(&bound) != Ordering::Greater,
            AtLeast(bound) => value.total_cmp(&bound) != Ordering::Less,
        }
    }
}
