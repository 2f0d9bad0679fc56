//! What is measured: each figure with its name, its unit and the part of the run that yields it, and the values that
//! the rounds gave it. Knows no aims.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// A part of a run: it is measured by itself, once a round, in the order given here. What serves as a yardstick stands
/// before what is held against it, so that little time passes between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// What the database itself can do.
    Raw,
    /// One execution, 1,000 sequential steps.
    #[value(name = "W3")]
    W3,
    /// An idle worker; start one, await its result.
    #[value(name = "W4")]
    W4,
    /// Starts: one after another, 64 at once, batches of 1,000.
    #[value(name = "W6")]
    W6,
    /// Executions of one step, started first, then drained.
    #[value(name = "W1")]
    W1,
    /// Fenced group commit and nothing else: the ceiling.
    Probe,
    /// 100 and 1,000 executions of 100 sequential steps, all at once.
    #[value(name = "W2")]
    W2,
    /// One parent awaits 1,000 children, then 10,000.
    #[value(name = "W5")]
    W5,
    /// An execution with 1,000 and 10,000 recorded steps resumes after a crash.
    #[value(name = "W7")]
    W7,
}

impl Part {
    /// The name that `--only` takes.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

macro_rules! figures {
    ($($(#[doc = $what:literal])* $variant:ident = $part:ident, $name:literal, $unit:literal;)*) => {
        /// Something measured. The order is that of the report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Figure {
            $($(#[doc = $what])* $variant,)*
        }

        impl Figure {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The part of the run that yields it.
            pub const fn part(self) -> Part {
                match self { $(Self::$variant => Part::$part,)* }
            }

            /// Its name in the JSON file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its unit.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)* }
            }

            /// What it is, for people.
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => concat!($($what),*).trim(),)* }
            }
        }
    };
}

figures! {
    /// single bare commits
    RawCommits = Raw, "raw.commits", "/s";
    /// one bare commit
    RawCommit = Raw, "raw.commit", "ms";
    /// single bare commits by 32 clients
    RawCommits32 = Raw, "raw.commits_32", "/s";
    /// rows by 100 a commit
    RawRowsBy100 = Raw, "raw.rows_by_100", "/s";
    /// rows by 1,000 a commit
    RawRowsBy1000 = Raw, "raw.rows_by_1000", "/s";
    /// steps, 100 tasks x 100
    ProbeSteps100 = Probe, "probe.steps_100x100", "/s";
    /// steps, 1,000 tasks x 100
    ProbeSteps1000 = Probe, "probe.steps_1000x100", "/s";
    /// steps, 100 x 100, records as they come
    ProbeHeap100 = Probe, "probe.heap_steps_100x100", "/s";
    /// steps, 1,000 x 100, records as they come
    ProbeHeap1000 = Probe, "probe.heap_steps_1000x100", "/s";
    /// a step, 1 task x 1,000
    ProbeStep = Probe, "probe.step", "ms";
    /// executions of one step
    Executions = W1, "w1.executions", "/s";
    /// steps, 100 executions x 100
    Steps100 = W2, "w2.steps_100x100", "/s";
    /// steps, 1,000 executions x 100
    Steps1000 = W2, "w2.steps_1000x100", "/s";
    /// a step, 1 execution x 1,000
    Step = W3, "w3.step", "ms";
    /// start to result, p50
    LatencyP50 = W4, "w4.p50", "ms";
    /// start to result, p99
    LatencyP99 = W4, "w4.p99", "ms";
    /// 1,000 children awaited
    Children = W5, "w5.children", "s";
    /// 10,000 children awaited
    ManyChildren = W5, "w5.children_10000", "s";
    /// the time of 1,000, so many times
    ManyTimes = W5, "w5.times_1000", "x";
    /// what they add to the peak of memory
    ManyMemory = W5, "w5.memory_10000", "MB";
    /// starts one after another
    StartsOne = W6, "w6.starts_one", "/s";
    /// starts 64 at once
    Starts64 = W6, "w6.starts_64", "/s";
    /// starts in batches of 1,000
    StartsBatch = W6, "w6.starts_batch", "/s";
    /// resume over 1,000 steps
    Resume1000 = W7, "w7.resume_1000", "ms";
    /// resume over 10,000 steps
    Resume10000 = W7, "w7.resume_10000", "ms";
    /// the same with the take-over
    TakeOver10000 = W7, "w7.take_over_10000", "ms";
    /// Python: executions of one step
    PythonExecutions = W1, "python.w1.executions", "/s";
    /// Python: steps, 100 executions x 100
    PythonSteps100 = W2, "python.w2.steps_100x100", "/s";
    /// Python: steps, 1,000 executions x 100
    PythonSteps1000 = W2, "python.w2.steps_1000x100", "/s";
    /// Python: calls of children, 100 executions x 100
    PythonCalls100 = W2, "python.w2.calls_100x100", "/s";
    /// Python: a step, 1 execution x 1,000
    PythonStep = W3, "python.w3.step", "ms";
    /// Python: a call of a child, 1 execution x 1,000
    PythonCall = W3, "python.w3.call", "ms";
    /// Python: start to result, p50
    PythonLatencyP50 = W4, "python.w4.p50", "ms";
    /// Python: start to result, p99
    PythonLatencyP99 = W4, "python.w4.p99", "ms";
    /// Python: 1,000 children awaited
    PythonChildren = W5, "python.w5.children", "s";
    /// Python: starts one after another
    PythonStartsOne = W6, "python.w6.starts_one", "/s";
    /// Python: starts 64 at once
    PythonStarts64 = W6, "python.w6.starts_64", "/s";
    /// Python: resume over 1,000 steps
    PythonResume1000 = W7, "python.w7.resume_1000", "ms";
    /// Python: resume over 10,000 steps
    PythonResume10000 = W7, "python.w7.resume_10000", "ms";
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One value of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which figure.
    pub figure: Figure,
    /// In the figure's unit.
    pub value: f64,
}

impl Sample {
    /// A value of a figure.
    pub const fn of(figure: Figure, value: f64) -> Self {
        Self { figure, value }
    }
}

/// The values of all rounds so far.
#[derive(Debug, Default)]
pub struct Measured {
    rounds: Vec<BTreeMap<Figure, f64>>,
}

impl Measured {
    /// Opens the next round.
    pub fn next_round(&mut self) {
        self.rounds.push(BTreeMap::new());
    }

    /// Adds what a part of the present round yielded.
    pub fn add(&mut self, samples: &[Sample]) {
        if let Some(round) = self.rounds.last_mut() {
            round.extend(samples.iter().map(|sample| (sample.figure, sample.value)));
        }
    }

    /// A figure's values, one for each round that has it.
    pub fn values(&self, figure: Figure) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(&figure).copied()).collect()
    }

    /// A figure's median over the rounds.
    pub fn median(&self, figure: Figure) -> Option<f64> {
        median(self.values(figure))
    }

    /// The median of a figure's ratios to another: each is of one round, so a machine that is slower for a while
    /// slows both.
    pub fn median_ratio(&self, figure: Figure, to: Figure) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| Some(round.get(&figure)? / round.get(&to)?)).collect())
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_whatever_the_order() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_ratio_is_taken_within_each_round_before_the_median() {
        let mut measured = Measured::default();
        for (raw, executions) in [(100.0, 10.0), (200.0, 40.0), (50.0, 15.0)] {
            measured.next_round();
            measured.add(&[Sample::of(Figure::RawCommits, raw), Sample::of(Figure::Executions, executions)]);
        }
        assert_eq!(measured.median_ratio(Figure::Executions, Figure::RawCommits), Some(0.2));
        assert_eq!(measured.median(Figure::Executions), Some(15.0));
        assert_eq!(measured.median_ratio(Figure::Step, Figure::RawCommit), None);
    }

    #[test]
    fn names_are_unique_and_begin_with_their_part() {
        let mut names: Vec<_> = Figure::ALL.iter().map(|figure| figure.name()).collect();
        let of_face = |name: &'static str| name.strip_prefix("python.").unwrap_or(name);
        let begins = |f: &Figure| of_face(f.name()).starts_with(&format!("{}.", f.part().name().to_lowercase()));
        assert!(Figure::ALL.iter().all(begins));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Figure::ALL.len());
    }
}
