//! What the plugin promises to cost, as ratios of figures of one run.

use std::cmp::Ordering;

use super::samples::{Samples, Series};

/// One promise. A goal of none is there to be read.
pub(super) struct Goal {
    what: &'static str,
    unit: Unit,
    bound: Option<Bound>,
    value: fn(&Samples) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Times,
    Ms,
    Kb,
    Threads,
}

#[derive(Clone, Copy)]
enum Bound {
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

use Bound::{AtLeast, AtMost};
use Unit::{Kb, Ms, Threads, Times};

const GOALS: &[Goal] = &[
    goal("warm prolog + epilog: ours to the floor", Times, AtMost(1.5), |all| {
        warm(all, "ours", "wall_us")?.over(&warm(all, "floor", "wall_us")?).median()
    }),
    shown("the same in CPU time", Times, |all| {
        warm(all, "ours", "cpu_us")?.over(&warm(all, "floor", "cpu_us")?).median()
    }),
    shown("the same without confine and leftovers", Times, |all| {
        warm(all, "bare", "wall_us")?.over(&warm(all, "floor", "wall_us")?).median()
    }),
    goal("cold prolog: ours to systemctl start user@UID", Times, AtMost(1.1), |all| {
        wall(all, "cold-prolog", "ours")?.over(&wall(all, "cold-prolog", "systemd")?).median()
    }),
    shown("cold prolog: ours to the start of the same session by itself", Times, |all| {
        let systemds = all.series("cold-prolog", "ours", "systemd_us")?;
        wall(all, "cold-prolog", "ours")?.over(&systemds).median()
    }),
    goal("warm prolog + epilog, CPU: the recipe to ours", Times, AtLeast(5.0), |all| {
        warm(all, "recipe", "cpu_us")?.over(&warm(all, "ours", "cpu_us")?).median()
    }),
    shown("the same, to what ours adds to the floor", Times, |all| {
        let ours = warm(all, "ours", "cpu_us")?.minus(&warm(all, "floor", "cpu_us")?);
        Some(warm(all, "recipe", "cpu_us")?.median()? / ours.median()?)
    }),
    goal("warm prolog + epilog: ours to the recipe", Times, AtMost(1.0), |all| {
        warm(all, "ours", "wall_us")?.over(&warm(all, "recipe", "wall_us")?).median()
    }),
    goal("cold prolog: ours to the recipe", Times, AtMost(1.0), |all| {
        wall(all, "cold-prolog", "ours")?.over(&wall(all, "cold-prolog", "recipe")?).median()
    }),
    shown("a step: ours to the floor", Times, |all| {
        wall(all, "step", "ours")?.over(&wall(all, "step", "floor")?).median()
    }),
    shown("a step: ours beyond the floor", Ms, |all| ms(&beyond_the_floor(all)?)),
    goal("the same, to the 2 % or 1 ms it may be", Times, AtMost(1.0), |all| {
        let allowed = (ms(&wall(all, "step", "floor")?)? * 0.02).max(1.0);
        Some(ms(&beyond_the_floor(all)?)? / allowed)
    }),
    goal("the same on this machine, not emulated, with loading in srun", Ms, AtMost(1.0), |all| {
        Some(added(all, "step-here")? + added(all, "client-here")?)
    }),
    goal("sbatch: ours beyond Slurm without a plugin", Ms, AtMost(2.0), |all| {
        ms(&wall(all, "sbatch", "ours")?.minus(&wall(all, "sbatch", "recipe")?))
    }),
    goal("loading the plugin in a client", Ms, AtMost(2.0), |all| loading(all, "client")),
    goal("the same on this machine, not emulated", Ms, AtMost(2.0), |all| {
        loading(all, "client-here")
    }),
    goal("prolog beside 1000 leases of the user, to 1", Times, AtMost(1.2), |all| {
        grown(all, "own-1000-prolog", "own-1-prolog")
    }),
    goal("epilog beside 1000 leases of the user, to 1", Times, AtMost(1.2), |all| {
        grown(all, "own-1000-epilog", "own-1-epilog")
    }),
    goal("prolog beside leases of 1000 users, to 1", Times, AtMost(1.2), |all| {
        grown(all, "others-1000-prolog", "others-1-prolog")
    }),
    goal("epilog beside leases of 1000 users, to 1", Times, AtMost(1.2), |all| {
        grown(all, "others-1000-epilog", "others-1-epilog")
    }),
    shown("jobs a minute: ours to the floor", Times, |all| in_a_row(all, "ours", "floor")),
    shown("jobs a minute: ours to the recipe", Times, |all| in_a_row(all, "ours", "recipe")),
    shown("jobs a minute: with keep=30 to ours", Times, |all| in_a_row(all, "keep", "ours")),
    goal("the .so", Kb, AtMost(1200.0), |all| {
        Some(all.series("plugin", "ours", "size_bytes")?.median()? / 1000.0)
    }),
    goal("threads after all callbacks of a client", Threads, AtMost(1.0), |all| {
        all.series("client", "ours", "threads")?.median()
    }),
];

const fn goal(
    what: &'static str,
    unit: Unit,
    bound: Bound,
    value: fn(&Samples) -> Option<f64>,
) -> Goal {
    Goal { what, unit, bound: Some(bound), value }
}

const fn shown(what: &'static str, unit: Unit, value: fn(&Samples) -> Option<f64>) -> Goal {
    Goal { what, unit, bound: None, value }
}

/// All of them for which there are figures.
pub(super) fn outcomes(samples: &Samples) -> Vec<Outcome> {
    GOALS.iter().filter_map(|goal| goal.outcome((goal.value)(samples)?)).collect()
}

impl Goal {
    /// None of what is no number: a ratio to nothing.
    fn outcome(&self, value: f64) -> Option<Outcome> {
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
            Threads => format!("{value:.0}"),
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

fn wall(all: &Samples, measure: &str, variant: &str) -> Option<Series> {
    all.series(measure, variant, "wall_us")
}

fn warm(all: &Samples, variant: &str, quantity: &str) -> Option<Series> {
    let prolog = all.series("warm-prolog", variant, quantity)?;
    Some(prolog.plus(&all.series("warm-epilog", variant, quantity)?))
}

fn beyond_the_floor(all: &Samples) -> Option<Series> {
    Some(wall(all, "step", "ours")?.minus(&wall(all, "step", "floor")?))
}

fn grown(all: &Samples, measure: &str, from: &str) -> Option<f64> {
    wall(all, measure, "ours")?.over(&wall(all, from, "ours")?).median()
}

fn in_a_row(all: &Samples, variant: &str, other: &str) -> Option<f64> {
    let rate = |variant| all.series("in-a-row", variant, "jobs_per_min");
    rate(variant)?.over(&rate(other)?).median()
}

fn loading(all: &Samples, measure: &str) -> Option<f64> {
    ms(&loading_of(all, measure, "ours")?)
}

/// What it adds to the floor.
fn added(all: &Samples, measure: &str) -> Option<f64> {
    ms(&loading_of(all, measure, "ours")?.minus(&loading_of(all, measure, "floor")?))
}

/// With all callbacks.
fn loading_of(all: &Samples, measure: &str, variant: &str) -> Option<Series> {
    let load = all.series(measure, variant, "dlopen_us")?;
    Some(load.plus(&all.series(measure, variant, "call_us")?))
}

fn ms(us: &Series) -> Option<f64> {
    Some(us.median()? / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::samples::tests::samples;

    fn outcome(printed: &str, what: &str) -> Outcome {
        let outcomes = outcomes(&samples(printed));
        outcomes.into_iter().find(|outcome| outcome.what.starts_with(what)).unwrap()
    }

    /// Show that a pair is the sum of its callbacks in each round, and that it is judged.
    #[test]
    fn a_warm_pair_is_judged_by_the_floor() {
        let printed = "sample warm-prolog floor wall_us 20\nsample warm-epilog floor wall_us 20\n\
            sample warm-prolog ours wall_us 30\nsample warm-epilog ours wall_us 31\n";
        let judged = outcome(printed, "warm prolog + epilog: ours to the floor");
        assert_eq!((judged.shown.as_str(), judged.kept), ("1.52", Some(false)));
        let kept = outcome(&printed.replace(" 31", " 30"), "warm prolog + epilog: ours to");
        assert_eq!((kept.goal.as_str(), kept.kept), ("at most 1.50", Some(true)));
    }

    /// Show that "at least" is judged the other way round.
    #[test]
    fn the_recipe_has_to_cost_more() {
        let all = |recipe: u32| {
            let line = |variant, cost| {
                format!(
                    "sample warm-prolog {variant} cpu_us {cost}\nsample warm-epilog {variant} cpu_us 0\n"
                )
            };
            line("recipe", recipe) + &line("ours", 10)
        };
        assert_eq!(outcome(&all(49), "warm prolog + epilog, CPU").kept, Some(false));
        assert_eq!(outcome(&all(50), "warm prolog + epilog, CPU").kept, Some(true));
    }

    /// Show that nothing is said about what was not measured.
    #[test]
    fn no_figure_no_outcome() {
        assert!(outcomes(&samples("")).is_empty());
        let nothing = "sample in-a-row ours jobs_per_min 0\nsample in-a-row floor jobs_per_min 0\n";
        assert!(outcomes(&samples(nothing)).is_empty());
    }
}
