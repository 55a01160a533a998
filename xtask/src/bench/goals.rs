//! What the plugin promises to cost, as ratios of figures of one run.

use super::goal::Bound::{AtLeast, AtMost};
use super::goal::Unit::{Count, Kb, Ms, Times};
use super::goal::{Goal, Outcome, goal, shown};
use super::samples::{Samples, Series};

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
    shown("a step: ours beyond the floor", Ms, |all| beyond_the_floor(all, "step", "ours", WALL)),
    goal("the same, to the 2 % or 1 ms it may be", Times, AtMost(1.0), |all| {
        let allowed = (ms(&wall(all, "step", "floor")?)? * 0.02).max(1.0);
        Some(beyond_the_floor(all, "step", "ours", WALL)? / allowed)
    }),
    goal("the same on this machine, not emulated, with loading in srun", Ms, AtMost(1.0), |all| {
        step_here(all, "ours")
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
    goal("epilog beside 256 leases of the user, to 1", Times, AtMost(1.2), |all| {
        grown(all, "own-256-epilog", "own-1-epilog")
    }),
    shown("256 prologs at once: ours to the floor", Times, |all| {
        to_the_floor(all, "burst-prologs", "ours", WALL)
    }),
    shown("256 epilogs at once: ours to the floor", Times, |all| {
        to_the_floor(all, "burst-epilogs", "ours", WALL)
    }),
    shown("what 256 prologs ask systemd and logind", Count, |all| {
        all.series("burst-prologs", "ours", "bus_calls")?.median()
    }),
    goal("jobs a minute: ours to the floor", Times, AtLeast(20.0 / 31.0), |all| {
        in_a_row(all, "ours", "floor")
    }),
    shown("jobs a minute: ours to the recipe", Times, |all| in_a_row(all, "ours", "recipe")),
    shown("jobs a minute: with keep=30 to ours", Times, |all| in_a_row(all, "keep", "ours")),
    goal("cold job: session=job to the floor", Times, AtMost(1.5), |all| {
        to_the_floor(all, "cold-job", "job", WALL)
    }),
    goal("cold job: ours to the floor", Times, AtMost(1.5), |all| {
        to_the_floor(all, "cold-job", "ours", WALL)
    }),
    shown("cold job until its task: session=job to the floor", Times, |all| {
        to_the_floor(all, "cold-job", "job", FIRST)
    }),
    shown("cold job until its task: ours to the floor", Times, |all| {
        to_the_floor(all, "cold-job", "ours", FIRST)
    }),
    goal(
        "cold job from its task to its end: session=job beyond the floor",
        Ms,
        AtMost(200.0),
        |all| beyond_the_floor(all, "cold-job", "job", END),
    ),
    shown("cold job from its task to its end: ours beyond the floor", Ms, |all| {
        beyond_the_floor(all, "cold-job", "ours", END)
    }),
    goal("jobs a minute: session=job to the floor", Times, AtLeast(20.0 / 31.0), |all| {
        in_a_row(all, "job", "floor")
    }),
    shown("a step: session=job beyond the floor", Ms, |all| {
        beyond_the_floor(all, "step", "job", WALL)
    }),
    goal("a step of session=job, not emulated, with loading in srun", Ms, AtMost(1.0), |all| {
        step_here(all, "job")
    }),
    goal("connections to the bus in a step of session=job", Count, AtMost(0.0), |all| {
        all.series("step", "job", "bus_connections")?.median()
    }),
    goal("first podman run in a job: session=job to ours", Times, AtMost(1.0), |all| {
        wall(all, "first-podman", "job")?.over(&wall(all, "first-podman", "ours")?).median()
    }),
    goal("a later podman run in it: session=job to ours", Times, AtMost(1.0), |all| {
        wall(all, "next-podman", "job")?.over(&wall(all, "next-podman", "ours")?).median()
    }),
    shown("on a crowded node, a job until its task: ours beyond the floor", Ms, |all| {
        beyond_the_floor(all, "crowd-job", "ours", FIRST)
    }),
    shown("the same of session=job", Ms, |all| beyond_the_floor(all, "crowd-job", "job", FIRST)),
    shown("on a crowded node, from its task to its end: ours beyond the floor", Ms, |all| {
        beyond_the_floor(all, "crowd-job", "ours", END)
    }),
    goal("first podman run in a job: ours to a login of the user", Times, AtMost(1.0), |all| {
        wall(all, "first-podman", "ours")?.over(&wall(all, "first-podman", "login")?).median()
    }),
    goal("a later podman run in it: ours to a login of the user", Times, AtMost(1.0), |all| {
        wall(all, "next-podman", "ours")?.over(&wall(all, "next-podman", "login")?).median()
    }),
    goal("wakes a minute of a session that nobody uses: ours", Count, AtMost(0.0), |all| {
        all.series("idle", "ours", "wakes_per_min")?.median()
    }),
    goal("the same of session=job, with its guard", Count, AtMost(0.0), |all| {
        all.series("idle", "job", "wakes_per_min")?.median()
    }),
    goal("the .so", Kb, AtMost(1250.0), |all| {
        Some(all.series("plugin", "ours", "size_bytes")?.median()? / 1000.0)
    }),
    goal("threads after all callbacks of a client", Count, AtMost(1.0), |all| {
        all.series("client", "ours", "threads")?.median()
    }),
];

/// All of them for which there are figures.
pub(super) fn outcomes(samples: &Samples) -> Vec<Outcome> {
    GOALS.iter().filter_map(|goal| goal.outcome(samples)).collect()
}

/// Of a command as a whole; of a job until its task begins, and from then on until Slurm is through with it.
const WALL: &str = "wall_us";
const FIRST: &str = "first_us";
const END: &str = "end_us";

fn wall(all: &Samples, measure: &str, variant: &str) -> Option<Series> {
    all.series(measure, variant, WALL)
}

fn warm(all: &Samples, variant: &str, quantity: &str) -> Option<Series> {
    let prolog = all.series("warm-prolog", variant, quantity)?;
    Some(prolog.plus(&all.series("warm-epilog", variant, quantity)?))
}

fn to_the_floor(all: &Samples, measure: &str, variant: &str, quantity: &str) -> Option<f64> {
    let of = |variant| all.series(measure, variant, quantity);
    of(variant)?.over(&of("floor")?).median()
}

fn beyond_the_floor(all: &Samples, measure: &str, variant: &str, quantity: &str) -> Option<f64> {
    let of = |variant| all.series(measure, variant, quantity);
    ms(&of(variant)?.minus(&of("floor")?))
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

/// What a step pays beyond the floor, in slurmstepd and in srun; a client does not know of the kinds of sessions.
fn step_here(all: &Samples, variant: &str) -> Option<f64> {
    let added = |measure, variant| {
        ms(&loading_of(all, measure, variant)?.minus(&loading_of(all, measure, "floor")?))
    };
    Some(added("step-here", variant)? + added("client-here", "ours")?)
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

    /// Show that a job with a session of its own is held to the floor's time, and its end to a difference.
    #[test]
    fn a_job_of_its_own_is_judged_by_the_floor() {
        let printed = "sample cold-job floor wall_us 1000\nsample cold-job job wall_us 1510\n\
            sample cold-job floor end_us 300000\nsample cold-job job end_us 500000\n";
        let cold = outcome(printed, "cold job: session=job");
        assert_eq!((cold.shown.as_str(), cold.kept), ("1.51", Some(false)));
        let end = outcome(printed, "cold job from its task to its end: session=job");
        assert_eq!((end.shown.as_str(), end.kept), ("200.00 ms", Some(true)));
    }

    /// Show that what a step has loaded in srun counts for both kinds of sessions.
    #[test]
    fn a_step_pays_in_two_programs() {
        let lines = [("floor", 1), ("ours", 5), ("job", 7)].map(|(variant, ms)| {
            let line = |measure, us| format!("sample {measure} {variant} dlopen_us {us}000\n");
            let call = |measure| format!("sample {measure} {variant} call_us 0\n");
            [
                line("step-here", ms),
                call("step-here"),
                line("client-here", 2 * ms),
                call("client-here"),
            ]
            .concat()
        });
        let step = outcome(&lines.concat(), "a step of session=job, not emulated");
        assert_eq!(step.shown, "14.00 ms");
    }

    /// Show that nothing is said about what was not measured.
    #[test]
    fn no_figure_no_outcome() {
        assert!(outcomes(&samples("")).is_empty());
        let nothing = "sample in-a-row ours jobs_per_min 0\nsample in-a-row floor jobs_per_min 0\n";
        assert!(outcomes(&samples(nothing)).is_empty());
    }
}
