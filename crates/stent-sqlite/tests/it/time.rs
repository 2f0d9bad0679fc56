//! Clocks that jump: timers follow the store's clock, presence does not.

use std::time::Duration;

use stent_core::command::Start;
use stent_core::history::Due;
use stent_core::{Command, Store};
use stent_sqlite::{Clock, Options, SqliteStore};

use crate::stores::{block, claim, commit, execution, place, start, worker};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_jumps_back_and_forth_fires_no_timer_early_and_kills_nobody() {
    let (_directory, path) = place();
    let clock = Clock::new();
    let store = SqliteStore::open(&path, Options { clock: Some(clock.clone()), ..Options::default() }).unwrap();
    let me = worker(&store);
    let due = Some(Due::In(Duration::from_secs(1_800)));
    commit(&store, vec![Command::Start(Box::new(Start { due, ..start(execution()) }))]);
    assert_eq!(claim(&store, me, 1).len(), 0);
    clock.set_offset_ms(-HOUR_MS);
    assert_eq!(claim(&store, me, 1).len(), 0, "an hour back is not due");
    assert_eq!(block(store.gone_sessions(Duration::from_secs(10))).unwrap(), []);
    clock.set_offset_ms(HOUR_MS);
    assert_eq!(block(store.gone_sessions(Duration::from_secs(10))).unwrap(), [], "an hour on kills nobody");
    assert_eq!(claim(&store, me, 1).len(), 1, "half an hour has passed by the store's clock");
}
