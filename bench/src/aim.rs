//! The aims of the design for each store, absolute and as ratios within one run, and whether a run meets them. An aim
//! is met if either holds: the absolute one is of one machine, the ratio holds on any, and on a busy one.

use serde::Serialize;

use crate::figure::{Figure, Measured, Part};

/// Which way a figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    /// The more the better.
    AtLeast,
    /// The less the better.
    AtMost,
}

impl Sense {
    const fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
        }
    }

    /// The sign that people read.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
        }
    }
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// The figure.
    pub figure: Figure,
    /// Which way it is good.
    pub sense: Sense,
    /// The limit on the machine of the design's table.
    pub absolute: f64,
    /// The yardstick of the same run, and the limit of the ratio to it.
    pub ratio: Option<(Figure, f64)>,
}

const fn at_least(figure: Figure, absolute: f64, ratio: Option<(Figure, f64)>) -> Aim {
    Aim { figure, sense: Sense::AtLeast, absolute, ratio }
}

const fn at_most(figure: Figure, absolute: f64, ratio: Option<(Figure, f64)>) -> Aim {
    Aim { figure, sense: Sense::AtMost, absolute, ratio }
}

/// How much 10,000 children may add to the memory of the one process that calls and runs them.
const MANY_CHILDREN_MB: f64 = 96.0;

/// The aims on SQLite.
pub const SQLITE: &[Aim] = &[
    at_least(Figure::Executions, 25_000.0, Some((Figure::RawRowsBy100, 0.08))),
    at_least(Figure::Steps100, 45_000.0, Some((Figure::ProbeSteps100, 0.75))),
    at_least(Figure::Steps1000, 35_000.0, Some((Figure::ProbeSteps1000, 0.75))),
    at_most(Figure::Step, 0.25, Some((Figure::RawCommit, 1.6))),
    at_most(Figure::LatencyP50, 0.6, Some((Figure::RawCommit, 3.9))),
    at_most(Figure::LatencyP99, 2.0, None),
    at_most(Figure::Children, 0.08, None),
    at_most(Figure::ManyTimes, 12.0, None),
    at_most(Figure::ManyMemory, MANY_CHILDREN_MB, None),
    at_least(Figure::StartsOne, 5_500.0, Some((Figure::RawCommits, 0.86))),
    at_least(Figure::Starts64, 45_000.0, Some((Figure::RawRowsBy100, 0.14))),
    at_least(Figure::StartsBatch, 150_000.0, Some((Figure::RawRowsBy1000, 0.27))),
    at_most(Figure::Resume10000, 25.0, None),
];

/// The aims on PostgreSQL. Where no yardstick of the run tells what the machine can do, only the absolute one counts.
pub const POSTGRES: &[Aim] = &[
    at_least(Figure::Executions, 25_000.0, None),
    at_least(Figure::Steps100, 42_000.0, Some((Figure::ProbeSteps100, 0.75))),
    at_least(Figure::Steps1000, 80_000.0, Some((Figure::ProbeSteps1000, 0.65))),
    at_most(Figure::Step, 0.32, Some((Figure::RawCommit, 1.8))),
    at_most(Figure::LatencyP50, 0.8, None),
    at_most(Figure::LatencyP99, 2.5, None),
    at_most(Figure::Children, 0.10, None),
    at_most(Figure::ManyTimes, 12.0, None),
    at_most(Figure::ManyMemory, MANY_CHILDREN_MB, None),
    at_least(Figure::StartsOne, 4_000.0, Some((Figure::RawCommits, 0.73))),
    at_least(Figure::Starts64, 40_000.0, None),
    at_least(Figure::StartsBatch, 150_000.0, Some((Figure::RawRowsBy1000, 0.33))),
    at_most(Figure::Resume10000, 30.0, None),
];

/// The aims of the Python face on SQLite. As ratios: what they are of the Rust face's own.
pub const PYTHON_ON_SQLITE: &[Aim] = &[
    at_least(Figure::PythonSteps100, 15_000.0, Some((Figure::Steps100, 0.33))),
    at_most(Figure::PythonStep, 0.5, Some((Figure::Step, 2.0))),
    at_most(Figure::PythonLatencyP50, 1.5, Some((Figure::LatencyP50, 2.5))),
    at_most(Figure::PythonChildren, 0.4, Some((Figure::Children, 5.0))),
];

/// The same on PostgreSQL.
pub const PYTHON_ON_POSTGRES: &[Aim] = &[
    at_least(Figure::PythonSteps100, 12_000.0, Some((Figure::Steps100, 0.29))),
    at_most(Figure::PythonStep, 0.6, Some((Figure::Step, 1.9))),
    at_most(Figure::PythonLatencyP50, 2.0, Some((Figure::LatencyP50, 2.5))),
    at_most(Figure::PythonChildren, 0.5, Some((Figure::Children, 5.0))),
];

/// How a run stands to an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The absolute aim is met.
    Met,
    /// Only the ratio is.
    MetAsRatio,
    /// Neither is.
    Below,
    /// The run has no such figure.
    NotMeasured,
}

impl Verdict {
    /// Whether `--check` lets it pass.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Met | Self::MetAsRatio)
    }

    /// The word that people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::MetAsRatio => "met as ratio",
            Self::Below => "BELOW",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Aim {
    /// How the run so far stands to it.
    pub fn judge(&self, measured: &Measured) -> Verdict {
        let Some(value) = measured.median(self.figure) else { return Verdict::NotMeasured };
        if self.sense.holds(value, self.absolute) {
            return Verdict::Met;
        }
        let ratio = self.ratio.and_then(|(to, limit)| Some((measured.median_ratio(self.figure, to)?, limit)));
        match ratio {
            Some((ratio, limit)) if self.sense.holds(ratio, limit) => Verdict::MetAsRatio,
            _ => Verdict::Below,
        }
    }
}

/// The parts to run so that `wanted` can be judged: these and the yardsticks of their aims, in the order of a round.
pub fn with_yardsticks(wanted: &[Part], aims: &[Aim]) -> Vec<Part> {
    let held = aims.iter().filter(|aim| wanted.contains(&aim.figure.part()));
    let yardsticks = held.filter_map(|aim| aim.ratio).map(|(to, _)| to.part());
    let mut parts: Vec<Part> = wanted.iter().copied().chain(yardsticks).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Sample;

    const STEP: Aim = at_most(Figure::Step, 0.25, Some((Figure::RawCommit, 1.6)));

    fn judged(aim: Aim, samples: &[Sample]) -> Verdict {
        let mut measured = Measured::default();
        measured.next_round();
        measured.add(samples);
        aim.judge(&measured)
    }

    #[test]
    fn an_aim_is_met_by_its_absolute_limit_or_by_its_ratio() {
        let step = |ms| Sample::of(Figure::Step, ms);
        let commit = |ms| Sample::of(Figure::RawCommit, ms);
        assert_eq!(judged(STEP, &[step(0.25), commit(0.1)]), Verdict::Met);
        assert_eq!(judged(STEP, &[step(1.6), commit(1.0)]), Verdict::MetAsRatio);
        assert_eq!(judged(STEP, &[step(1.7), commit(1.0)]), Verdict::Below);
        assert_eq!(judged(STEP, &[step(0.26)]), Verdict::Below);
        assert_eq!(judged(STEP, &[commit(1.0)]), Verdict::NotMeasured);
    }

    #[test]
    fn more_is_better_where_the_aim_says_at_least() {
        let aim = at_least(Figure::StartsOne, 5_500.0, Some((Figure::RawCommits, 0.86)));
        let run = |starts, commits| {
            judged(aim, &[Sample::of(Figure::StartsOne, starts), Sample::of(Figure::RawCommits, commits)])
        };
        assert_eq!(run(5_500.0, 9_000.0), Verdict::Met);
        assert_eq!(run(860.0, 1_000.0), Verdict::MetAsRatio);
        assert_eq!(run(850.0, 1_000.0), Verdict::Below);
    }

    #[test]
    fn an_aim_that_was_not_measured_does_not_pass() {
        assert!(!Verdict::NotMeasured.passes() && !Verdict::Below.passes());
        assert!(Verdict::Met.passes() && Verdict::MetAsRatio.passes());
    }

    #[test]
    fn a_workload_brings_its_yardstick_and_stands_after_it() {
        assert_eq!(with_yardsticks(&[Part::W2], SQLITE), [Part::Probe, Part::W2]);
        assert_eq!(with_yardsticks(&[Part::W3, Part::W2], SQLITE), [Part::Raw, Part::W3, Part::Probe, Part::W2]);
        assert_eq!(with_yardsticks(&[Part::W5], SQLITE), [Part::W5]);
    }
}
