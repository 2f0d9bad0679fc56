//! The verdict: what came of each order, judged from the order book and the ledger alone. Pure; it never asks the
//! store, which is what is on trial.
//!
//! The world keeps idempotency keys as payment providers do: asked twice with one key it acts once. A step whose
//! process died before its result was recorded asks again, and must; one whose result was recorded must not.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::ledger::{Entry, Step};
use super::orders::Order;

/// How many orders a list names.
const SHOWN_ORDERS: usize = 5;

/// How it went. Orders are named as in the book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) orders: usize,
    /// Charged with exactly one key.
    pub(super) charged_once: usize,
    /// Charged with more than one key: the provider took the money more than once.
    pub(super) charged_twice: Vec<String>,
    /// Orders with a step that never ran.
    pub(super) lost: Vec<Lost>,
    /// Charged once, though asked again with the same key.
    pub(super) charge_asked_again: usize,
    /// All steps that were asked again with the same key, the charges among them.
    pub(super) asked_again: usize,
    /// Steps other than the charge that ran with more than one key, or that ran again after they were recorded.
    pub(super) repeated: Vec<Repeat>,
    /// Orders in the ledger that no book has.
    pub(super) unknown: Vec<String>,
    /// The processes that worked, in order of appearance.
    pub(super) workers: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) order: String,
    /// The first step that never ran.
    pub(super) missing: Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) order: String,
    pub(super) step: Step,
}

impl Verdict {
    /// Whether every order was done, and charged once.
    pub(super) fn is_good(&self) -> bool {
        self.charged_once == self.orders
            && self.charged_twice.is_empty()
            && self.lost.is_empty()
            && self.repeated.is_empty()
            && self.unknown.is_empty()
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (never ran `{}`)", self.order, self.missing.name())
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (`{}`)", self.order, self.step.name())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_good() { "good" } else { "BAD" };
        writeln!(out, "verdict: {word}, from the ledger and the order book alone")?;
        writeln!(out, "  {:>5}  orders", self.orders)?;
        writeln!(out, "  {:>5}  charged exactly once", self.charged_once)?;
        list(out, "charged twice", &self.charged_twice)?;
        list(out, "lost", &self.lost)?;
        list(out, "worker processes", &self.workers)?;
        let charges = match self.charge_asked_again {
            0 => "no charge among them".to_owned(),
            1 => "1 charge among them: charged once".to_owned(),
            count => format!("{count} charges among them: each charged once"),
        };
        writeln!(out, "  {:>5}  steps asked again with the same key after the kill, {charges}", self.asked_again)?;
        if !self.repeated.is_empty() {
            list(out, "steps run again though they were recorded, or with another key", &self.repeated)?;
        }
        if !self.unknown.is_empty() {
            list(out, "orders that are in no book", &self.unknown)?;
        }
        Ok(())
    }
}

/// A count, and the first few of what is counted.
fn list<T: fmt::Display>(out: &mut fmt::Formatter<'_>, name: &str, all: &[T]) -> fmt::Result {
    let mut shown: Vec<String> = all.iter().take(SHOWN_ORDERS).map(T::to_string).collect();
    if shown.len() < all.len() {
        shown.push("..".to_owned());
    }
    let colon = if shown.is_empty() { "" } else { ": " };
    writeln!(out, "  {:>5}  {name}{colon}{}", all.len(), shown.join(", "))
}

/// What the ledger says of one order: its entries, each with its place in the whole.
type Story<'a> = Vec<(usize, &'a Entry)>;

pub(super) fn judge(book: &[Order], ledger: &[Entry]) -> Verdict {
    let mut stories: HashMap<&str, Story<'_>> = book.iter().map(|order| (&*order.order_id, Vec::new())).collect();
    let mut verdict = Verdict { orders: book.len(), ..Verdict::default() };
    let mut last_of_worker: HashMap<u32, usize> = HashMap::new();
    let mut unknown = BTreeSet::new();
    for (at, entry) in ledger.iter().enumerate() {
        if last_of_worker.insert(entry.pid, at).is_none() {
            verdict.workers.push(entry.pid);
        }
        match stories.get_mut(&*entry.order) {
            Some(story) => story.push((at, entry)),
            None => drop(unknown.insert(entry.order.clone())),
        }
    }
    verdict.unknown.extend(unknown);
    for order in book {
        if let Some(story) = stories.get(&*order.order_id) {
            verdict.add(&order.order_id, story, &last_of_worker);
        }
    }
    verdict
}

impl Verdict {
    fn add(&mut self, order: &str, story: &Story<'_>, last_of_worker: &HashMap<u32, usize>) {
        for step in Step::ALL {
            let runs: Vec<usize> = (0..story.len()).filter(|at| story[*at].1.step == step).collect();
            let keys: BTreeSet<&str> = runs.iter().map(|at| &*story[*at].1.key).collect();
            let excused = runs.windows(2).filter(|pair| is_excused(story, pair[0], pair[1], last_of_worker)).count();
            let has_bad_repeat = excused + 1 < runs.len();
            match (step, keys.len()) {
                (_, 0) => {}
                (Step::Charge, 1) => self.charged_once += 1,
                (Step::Charge, _) => self.charged_twice.push(order.to_owned()),
                (_, 1) => {}
                (_, _) => self.repeated.push(Repeat { order: order.to_owned(), step }),
            }
            if keys.len() == 1 {
                if has_bad_repeat {
                    self.repeated.push(Repeat { order: order.to_owned(), step });
                }
                self.asked_again += excused;
                self.charge_asked_again += usize::from(step == Step::Charge && excused > 0);
            }
        }
        let ran: BTreeSet<Step> = story.iter().map(|(_, entry)| entry.step).collect();
        if let Some(missing) = Step::ALL.into_iter().find(|step| !ran.contains(step)) {
            self.lost.push(Lost { order: order.to_owned(), missing });
        }
    }
}

/// Whether a step might run again: the process that ran it before has written nothing since anybody ran it again (it
/// is dead), and nothing later of this order had run (so its result may not have been recorded).
fn is_excused(story: &Story<'_>, before: usize, again: usize, last_of_worker: &HashMap<u32, usize>) -> bool {
    let (_, first) = story[before];
    let (repeated_at, second) = story[again];
    let is_dead = last_of_worker.get(&first.pid).is_some_and(|last| *last < repeated_at);
    let went_on = story[before..again].iter().any(|(_, entry)| entry.step > first.step);
    first.pid != second.pid && is_dead && !went_on
}

#[cfg(test)]
mod tests {
    use super::Step::{Charge, Mail, Reserve, Ship};
    use super::*;

    fn book(ids: &[&str]) -> Vec<Order> {
        let order = |id: &&str| Order {
            order_id: (*id).to_owned(),
            customer: "Zoe".to_owned(),
            sku: "P-1".to_owned(),
            quantity: 1,
            cents: 1,
        };
        ids.iter().map(order).collect()
    }

    fn ran(order: &str, step: Step, pid: u32) -> Entry {
        Entry { order: order.to_owned(), step, key: format!("task-of-{order}:{}", step.name()), pid }
    }

    fn with_key(key: &str, entry: Entry) -> Entry {
        Entry { key: key.to_owned(), ..entry }
    }

    fn all(order: &str, pid: u32) -> Vec<Entry> {
        Step::ALL.map(|step| ran(order, step, pid)).to_vec()
    }

    #[test]
    fn orders_done_and_charged_once_are_good() {
        let verdict = judge(&book(&["A", "B"]), &[all("A", 1), all("B", 2)].concat());
        assert!(verdict.is_good());
        assert_eq!((verdict.charged_once, verdict.asked_again, verdict.workers), (2, 0, vec![1, 2]));
    }

    #[test]
    fn a_charge_asked_again_with_its_key_after_its_worker_died_is_one_charge() {
        let ledger =
            [ran("A", Reserve, 1), ran("A", Charge, 1), ran("A", Charge, 2), ran("A", Ship, 2), ran("A", Mail, 2)];
        let verdict = judge(&book(&["A"]), &ledger);
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!((verdict.charged_once, verdict.charge_asked_again, verdict.asked_again), (1, 1, 1));
    }

    #[test]
    fn two_keys_are_two_charges() {
        let mut ledger = all("A", 1);
        ledger.insert(2, with_key("another:charge", ran("A", Charge, 2)));
        let verdict = judge(&book(&["A"]), &ledger);
        assert_eq!((verdict.is_good(), verdict.charged_twice), (false, vec!["A".to_owned()]));
    }

    #[test]
    fn an_order_without_a_charge_or_without_its_end_is_lost() {
        let without_charge = [ran("A", Reserve, 1), ran("A", Ship, 1), ran("A", Mail, 1)];
        for (ledger, missing) in [(&without_charge[..], Charge), (&all("A", 1)[..3], Mail), (&[], Reserve)] {
            let verdict = judge(&book(&["A"]), ledger);
            assert!(!verdict.is_good());
            assert_eq!(verdict.lost, [Lost { order: "A".to_owned(), missing }]);
        }
    }

    #[test]
    fn a_step_that_runs_again_after_a_later_one_was_computed_again() {
        let ledger = [all("A", 1), vec![ran("A", Ship, 2)]].concat();
        let verdict = judge(&book(&["A"]), &ledger);
        assert!(!verdict.is_good());
        assert_eq!(verdict.repeated, [Repeat { order: "A".to_owned(), step: Ship }]);
    }

    #[test]
    fn a_step_that_runs_again_while_its_worker_lives_was_computed_again() {
        let again_by_another = [ran("A", Reserve, 1), ran("A", Reserve, 2), ran("B", Reserve, 1)];
        let again_by_itself = [ran("A", Reserve, 1), ran("A", Reserve, 1)];
        for ledger in [&again_by_another[..], &again_by_itself[..]] {
            let verdict = judge(&book(&["A", "B"]), ledger);
            assert_eq!(verdict.repeated, [Repeat { order: "A".to_owned(), step: Reserve }]);
        }
    }

    #[test]
    fn any_step_with_two_keys_is_repeated() {
        let ledger = [all("A", 1), vec![with_key("another:mail", ran("A", Mail, 2))]].concat();
        assert_eq!(judge(&book(&["A"]), &ledger).repeated, [Repeat { order: "A".to_owned(), step: Mail }]);
    }

    #[test]
    fn a_bad_verdict_names_the_orders() {
        let mut ledger = all("A", 1);
        ledger.insert(2, with_key("another:charge", ran("A", Charge, 2)));
        let orders: Vec<String> = (0..7).map(|number| format!("L{number}")).collect();
        let book = book(&[&["A"], &orders.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
        let said = judge(&book, &ledger).to_string();
        assert!(said.starts_with("verdict: BAD"), "{said}");
        assert!(said.contains("      1  charged twice: A\n"), "{said}");
        assert!(said.contains("      7  lost: L0 (never ran `reserve`), L1"), "{said}");
        assert!(said.contains("L4 (never ran `reserve`), ..\n"), "{said}");
    }

    #[test]
    fn an_order_that_no_book_has_is_a_failure() {
        let verdict = judge(&book(&["A"]), &[all("A", 1), all("X", 1)].concat());
        assert_eq!((verdict.is_good(), verdict.unknown), (false, vec!["X".to_owned()]));
    }
}
