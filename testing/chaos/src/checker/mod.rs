//! The judge: pure, after the fact. It knows the ledger, what was acknowledged and how it ended, and nothing of the
//! engine; the database's own integrity is looked at beside it.
//!
//! What it holds: nothing acknowledged is lost; what was handed out once never runs again and never changes; a body
//! runs again only after the kill of whoever ran it; one task has one worker at a time; a kill costs no attempt; what
//! a kill interrupted soon goes on elsewhere; of a limited function no more are in at once than may be.

mod endings;
mod limit;
mod recovery;
mod steps;
#[cfg(test)]
mod story;
mod tasks;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::line::Line;
use crate::supervisor::Endings;
use crate::workload::Shape;

/// What a run is held to.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What its executions are like.
    pub shape: Shape,
    /// How long 99 of 100 recoveries may take at most.
    pub recovery_p99: Duration,
    /// The same of those that an outage of the server delays, from its return.
    pub after_outage_p99: Duration,
    /// The same of those over which several workers were killed in a row: they run one at a time in a worker until they
    /// have recorded something, so that one that kills its workers takes no other with it.
    pub suspect_p99: Duration,
    /// What all bodies of a limited workload may take, in hundredths of what they take side by side.
    pub time_percent: Option<u32>,
}

/// One breach, with the lines of the ledger that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    /// Indexes into the ledger, in order.
    pub lines: Vec<usize>,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Those that the fewest lines show first.
    pub findings: Vec<Finding>,
    pub kills: Vec<KillReport>,
    pub acknowledged: usize,
    pub completed: usize,
    /// Runs of step bodies in all, repeats included.
    pub runs: usize,
    /// From a kill to a task's next line elsewhere, ascending.
    pub recoveries: Vec<Duration>,
    /// Where an outage of the server lay between the two or close before: from its end, ascending.
    pub late_recoveries: Vec<Duration>,
    /// Of tasks over which several workers were killed in a row, one of them before their code began: from the first of
    /// these kills, ascending.
    pub suspects: Vec<Duration>,
    /// How often the server was away, and for how long.
    pub outages: usize,
    pub outage_time: Duration,
    /// How many bodies of a limited workload were in at once at most.
    pub most_at_once: usize,
    /// What they took all together, from the first start to the last end, and what they may take.
    pub time: Option<(Duration, Duration)>,
}

/// What one kill hit and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillReport {
    /// Tasks that the process was running or held waiting, and that went on elsewhere.
    pub tasks: usize,
    /// Step bodies whose outcome had not been handed out.
    pub bodies: usize,
    /// Of these, the ones that ran again.
    pub extra_runs: usize,
}

impl Judgement {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Of spans in ascending order, the one that so many of a hundred do not exceed.
pub fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let last = ascending.len().saturating_sub(1);
    ascending.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
}

pub fn judge(ledger: &[Line], endings: &Endings, rules: Rules) -> Judgement {
    let mut judgement = Judgement::default();
    endings::check(ledger, endings, rules.shape, &mut judgement);
    steps::check(ledger, &mut judgement);
    tasks::check(ledger, &mut judgement);
    recovery::check(ledger, rules, &mut judgement);
    limit::check(ledger, rules, &mut judgement);
    judgement.findings.sort_by_key(|finding| finding.lines.len());
    judgement
}

/// The lines of one execution, or of one of its tasks' steps, and of the processes they name.
fn lines_where(ledger: &[Line], is_meant: impl Fn(&Line) -> bool) -> Vec<usize> {
    let meant = |line: &Line| line.subject.execution != 0 && is_meant(line);
    let lives: BTreeSet<u32> = ledger.iter().filter(|line| meant(line)).map(|line| line.life.number).collect();
    let of_life = |line: &Line| line.subject.execution == 0 && lives.contains(&line.life.number);
    (0..ledger.len()).filter(|at| meant(&ledger[*at]) || of_life(&ledger[*at])).collect()
}
