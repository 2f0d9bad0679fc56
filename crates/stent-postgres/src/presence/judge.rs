//! Who counts as gone, given what each look showed. Pure: it asks nobody and reads no clock.
//!
//! Invariant: a break in what we see (of the server, of our connection, of the looks) takes nothing away from the
//! living; whatever it hides must show anew, for as long as it takes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use stent_core::SessionId;

/// How long a session's lock must have been missing. A process that lost its connection is back long before.
const ABSENCE: Duration = Duration::from_millis(1_500);

/// How many looks must have seen that it is.
const LOOKS: u32 = 2;

/// A look that took longer says nothing: while the server stands still, nobody can beat.
const SLOW: Duration = Duration::from_secs(2);

/// How often each process is asked who is gone, and how many processes look each time: with more of them, each looks
/// more seldom, so that an idle cluster costs its server the same however large it is. One that sees a death is enough.
const ROUND: Duration = Duration::from_millis(500);
const LOOKERS: u32 = 4;

/// The connection by which a store is present itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// None, for now.
    Down,
    /// To the server itself.
    Direct {
        /// Which connection: each gets another number.
        number: u64,
        /// Since when it is there.
        since: Instant,
    },
    /// None ever: a pooler stands between.
    Pooled,
}

/// What a look showed.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    /// Our own connection, as it was when the answer came.
    pub(super) line: Line,
    /// Since when the server runs, which tells servers and their restarts apart.
    pub(super) server: i64,
    /// How many other processes have open sessions.
    pub(super) others: u32,
    /// Those that have been silent for the time that was asked for.
    pub(super) silent: Vec<SessionId>,
    /// Those whose locks nobody holds.
    pub(super) missing: Vec<SessionId>,
    /// Those that say so themselves, and those that were taken over in part.
    pub(super) emptied: Vec<SessionId>,
}

/// What all looks since the last break have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steady {
    since: Instant,
    server: i64,
    line: Line,
}

/// Since when a lock is missing, and how many looks saw that.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Instant,
    looks: u32,
}

/// What past looks showed.
#[derive(Debug, Default)]
pub(super) struct Judge {
    steady: Option<Steady>,
    /// When a look failed last.
    blind_at: Option<Instant>,
    absent: HashMap<SessionId, Absence>,
    /// Before when there is no need to look again.
    rests_until: Option<Instant>,
}

impl Judge {
    /// Whether others look often enough for this process to leave it to them.
    pub(super) fn may_rest(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// How long until the next look is worth its while; `dice` is a random number, so that processes that were started
    /// together do not look together. Whoever sees something amiss looks each time.
    pub(super) fn pace(&mut self, look: &Look, dice: u8) {
        let calm = look.silent.is_empty() && look.missing.is_empty() && look.emptied.is_empty();
        let all = look.others.saturating_add(1);
        self.rests_until = (calm && self.steady.is_some() && all > LOOKERS).then(|| {
            let mean = ROUND * all / LOOKERS;
            look.asked + mean / 2 + mean * u32::from(dice) / 256
        });
    }

    /// A look was not answered, or too late to say anything.
    pub(super) fn was_blind(&mut self, at: Instant) {
        self.blind_at = Some(at);
        self.steady = None;
        self.rests_until = None;
        self.absent.clear();
    }

    /// A session was closed for good.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.absent.remove(&session);
    }

    /// Those that are gone, in order of id; `worker_timeout` is how long the silent ones have been silent.
    pub(super) fn gone(&mut self, look: &Look, worker_timeout: Duration) -> Vec<SessionId> {
        let mut gone = look.emptied.clone();
        if look.line == Line::Down || look.answered.saturating_duration_since(look.asked) > SLOW {
            self.was_blind(look.answered);
        } else {
            let steady = self.steady(look);
            if look.answered.saturating_duration_since(steady.since) >= worker_timeout {
                gone.extend(&look.silent);
            }
            gone.extend(self.absent(look));
        }
        gone.sort_unstable();
        gone.dedup();
        gone
    }

    /// Whether this look continues those before, and since when.
    fn steady(&mut self, look: &Look) -> Steady {
        match self.steady {
            Some(steady) if steady.server == look.server && steady.line == look.line => steady,
            before => {
                // With another server, whoever is silent may only be on the way to it.
                let same = before.is_none_or(|before| before.server == look.server);
                let since = match look.line {
                    Line::Direct { since, .. } if same => since,
                    _ => look.asked,
                };
                let since = self.blind_at.map_or(since, |blind_at| blind_at.max(since));
                self.absent.clear();
                let steady = Steady { since, server: look.server, line: look.line };
                *self.steady.insert(steady)
            }
        }
    }

    fn absent(&mut self, look: &Look) -> Vec<SessionId> {
        self.absent.retain(|session, _| look.missing.contains(session));
        let mut gone = Vec::new();
        for session in &look.missing {
            let absence = self.absent.entry(*session).or_insert(Absence { since: look.asked, looks: 0 });
            absence.looks += 1;
            if absence.looks >= LOOKS && look.asked.saturating_duration_since(absence.since) >= ABSENCE {
                gone.push(*session);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    /// A look `ms` after the start, over a connection that is as old as that.
    fn look(start: Instant, ms: u64) -> Look {
        let asked = start + Duration::from_millis(ms);
        Look {
            asked,
            answered: asked,
            line: Line::Direct { number: 1, since: start },
            server: 7,
            others: 1,
            silent: vec![],
            missing: vec![],
            emptied: vec![],
        }
    }

    fn missing(start: Instant, ms: u64) -> Look {
        Look { missing: vec![session(1)], ..look(start, ms) }
    }

    fn silent(start: Instant, ms: u64) -> Look {
        Look { silent: vec![session(2)], ..look(start, ms) }
    }

    #[test]
    fn a_lock_that_is_missing_for_a_second_and_a_half_is_a_death() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        for ms in [0, 500, 1_000] {
            assert_eq!(judge.gone(&missing(start, ms), TIMEOUT), []);
        }
        assert_eq!(judge.gone(&missing(start, 1_500), TIMEOUT), [session(1)]);
        assert_eq!(judge.gone(&missing(start, 2_000), TIMEOUT), [session(1)]);
    }

    #[test]
    fn one_look_is_not_enough_and_one_that_sees_the_lock_begins_anew() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        assert_eq!(judge.gone(&missing(start, 60_000), TIMEOUT), []);
        judge.gone(&look(start, 60_500), TIMEOUT);
        assert_eq!(judge.gone(&missing(start, 61_600), TIMEOUT), []);
        assert_eq!(judge.gone(&missing(start, 63_100), TIMEOUT), [session(1)]);
    }

    #[test]
    fn a_restart_a_new_connection_and_a_failed_look_each_begin_anew() {
        let start = Instant::now();
        let restarted = |look: Look| Look { server: 8, ..look };
        let reconnected = |look: Look| Look { line: Line::Direct { number: 2, since: start }, ..look };
        let breaks: [&dyn Fn(Look) -> Look; 3] = [&restarted, &reconnected, &|look| look];
        for (at, broken) in breaks.iter().enumerate() {
            let mut judge = Judge::default();
            judge.gone(&missing(start, 0), TIMEOUT);
            if at == 2 {
                judge.was_blind(start + Duration::from_secs(1));
            }
            assert_eq!(judge.gone(&broken(missing(start, 1_600)), TIMEOUT), [], "{at}");
            assert_eq!(judge.gone(&broken(missing(start, 3_000)), TIMEOUT), [], "{at}");
            assert_eq!(judge.gone(&broken(missing(start, 3_100)), TIMEOUT), [session(1)], "{at}");
        }
    }

    #[test]
    fn silence_counts_once_we_have_been_connected_for_as_long() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        assert_eq!(judge.gone(&silent(start, 9_999), TIMEOUT), []);
        assert_eq!(judge.gone(&silent(start, 10_000), TIMEOUT), [session(2)]);
        judge.was_blind(start + Duration::from_millis(10_200));
        assert_eq!(judge.gone(&silent(start, 20_199), TIMEOUT), []);
        assert_eq!(judge.gone(&silent(start, 20_200), TIMEOUT), [session(2)]);
    }

    #[test]
    fn after_a_failover_silence_counts_from_the_first_look_at_the_new_server() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        judge.gone(&silent(start, 20_000), TIMEOUT);
        let after = |ms| Look { server: 8, ..silent(start, ms) };
        assert_eq!(judge.gone(&after(21_000), TIMEOUT), []);
        assert_eq!(judge.gone(&after(30_999), TIMEOUT), []);
        assert_eq!(judge.gone(&after(31_000), TIMEOUT), [session(2)]);
    }

    #[test]
    fn behind_a_pooler_the_looks_themselves_are_what_must_not_break() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        let pooled = |ms| Look { line: Line::Pooled, ..silent(start, ms) };
        assert_eq!(judge.gone(&pooled(50_000), TIMEOUT), []);
        assert_eq!(judge.gone(&pooled(60_000), TIMEOUT), [session(2)]);
    }

    #[test]
    fn many_processes_together_look_as_often_as_a_few() {
        let start = Instant::now();
        let rest = |others, dice| {
            let mut judge = Judge::default();
            let look = Look { others, ..look(start, 0) };
            judge.gone(&look, TIMEOUT);
            judge.pace(&look, dice);
            judge.rests_until.map(|until| until - start)
        };
        assert_eq!(rest(3, 255), None);
        assert_eq!(rest(9, 0), Some(Duration::from_millis(625)));
        assert_eq!(rest(9, 128), Some(Duration::from_millis(1_250)));
        assert_eq!(rest(39, 128), Some(Duration::from_secs(5)));
    }

    #[test]
    fn whoever_sees_something_amiss_or_nothing_at_all_looks_each_time() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        let among_many = |look: Look| Look { others: 50, ..look };
        let calm = among_many(look(start, 0));
        judge.gone(&calm, TIMEOUT);
        judge.pace(&calm, 0);
        assert!(judge.may_rest(start) && !judge.may_rest(start + Duration::from_secs(60)));
        judge.pace(&among_many(missing(start, 0)), 0);
        assert!(!judge.may_rest(start));
        judge.pace(&calm, 0);
        judge.was_blind(start);
        assert!(!judge.may_rest(start));
    }

    #[test]
    fn a_slow_look_and_one_without_a_connection_show_only_what_is_written_down() {
        let (mut judge, start) = (Judge::default(), Instant::now());
        let slow = Look { answered: start + Duration::from_secs(63), ..silent(start, 60_000) };
        let down = Look { line: Line::Down, ..silent(start, 60_000) };
        for look in [slow, down] {
            let look = Look { emptied: vec![session(3)], missing: vec![session(1)], ..look };
            assert_eq!(judge.gone(&look, TIMEOUT), [session(3)]);
        }
    }
}
