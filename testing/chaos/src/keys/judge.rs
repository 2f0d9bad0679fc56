//! What a ledger says of the keys: every call came to a result, all calls of a key to the same one, and that one is
//! what a body of this very key gave.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::{Order, Verdict};
use crate::line::{Line, Verb};

/// How many findings are named.
const SHOWN: usize = 10;

/// What happened to one key.
#[derive(Default)]
struct Key {
    /// What each body gave, if it came so far.
    given: BTreeSet<u64>,
    /// What each caller got.
    got: Vec<u64>,
}

pub fn judge(order: Order, ledger: &[Line], integrity: &str, time: Duration) -> Verdict {
    let mut keys: BTreeMap<u32, Key> = (1..=order.keys).map(|key| (key, Key::default())).collect();
    let mut kills = 0;
    for line in ledger {
        let key = keys.entry(line.subject.execution);
        match line.verb {
            Verb::Run => drop(key.or_default().given.insert(line.number)),
            Verb::Ack => key.or_default().got.push(line.number),
            Verb::Kill => kills += 1,
            _ => {}
        }
    }
    let findings: Vec<String> = keys.iter().filter_map(|(number, key)| key.finding(*number, order.callers)).collect();
    let (calls, bodies) = keys.values().fold((0, 0), |sum, key| (sum.0 + key.got.len(), sum.1 + key.given.len()));
    let mut words = String::new();
    let rows = [
        ("kills", kills, String::new()),
        ("keys", keys.len(), format!("{} callers of each", order.callers)),
        ("calls", calls, "came to a result".to_owned()),
        ("bodies", bodies, "ran; one result of each key counts".to_owned()),
        ("findings", findings.len(), format!("integrity check {integrity}, {:.1} s", time.as_secs_f64())),
    ];
    for (name, count, said) in rows {
        let _ = writeln!(words, "{name:<12}{count:>7}  {said}");
    }
    for finding in findings.iter().take(SHOWN) {
        let _ = writeln!(words, "found: {finding}");
    }
    Verdict { words, is_clean: findings.is_empty() && integrity == "ok" && kills == order.kills as usize }
}

impl Key {
    fn finding(&self, number: u32, callers: u32) -> Option<String> {
        let results: BTreeSet<u64> = self.got.iter().copied().collect();
        if self.got.len() != callers as usize {
            return Some(format!("key {number}: {} of {callers} calls came to a result", self.got.len()));
        }
        if results.len() != 1 {
            return Some(format!("key {number} has {} results: {results:?}", results.len()));
        }
        let invented = results.difference(&self.given).next()?;
        Some(format!("key {number}: no body of it gave {invented}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Life, Subject};

    fn lines(told: &[(Verb, u32, u64)]) -> Vec<Line> {
        let life = Life { number: 1, pid: 1 };
        let line = |(verb, key, number): &(Verb, u32, u64)| Line {
            verb: *verb,
            subject: Subject::root(*key),
            number: *number,
            life,
            at_ns: 0,
        };
        told.iter().map(line).collect()
    }

    fn is_clean(told: &[(Verb, u32, u64)]) -> bool {
        let order = Order { kills: 0, seed: 1, workers: 1, concurrency: 1, callers: 2, keys: 1, stretch: 1 };
        judge(order, &lines(told), "ok", Duration::ZERO).is_clean
    }

    #[test]
    fn a_second_result_a_lost_call_and_an_invented_result_are_found() {
        use Verb::{Ack, Run};
        assert!(is_clean(&[(Run, 1, 7), (Run, 1, 8), (Ack, 1, 8), (Ack, 1, 8)]));
        assert!(!is_clean(&[(Run, 1, 7), (Run, 1, 8), (Ack, 1, 7), (Ack, 1, 8)]), "two results");
        assert!(!is_clean(&[(Run, 1, 7), (Ack, 1, 7)]), "a lost call");
        assert!(!is_clean(&[(Run, 1, 7), (Ack, 1, 9), (Ack, 1, 9)]), "nobody gave it");
        assert!(!is_clean(&[]), "nobody called");
    }
}
