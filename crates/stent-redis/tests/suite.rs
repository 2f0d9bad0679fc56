//! A store that the bus accompanies is the store it was: the whole suite, on the model with a real Redis beside it.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stent_core::{Store, Timestamp};
use stent_servers::Redis;
use stent_storetest::model::{ManualClock, ModelStore};
use stent_storetest::suite::Fixture;
use tokio::runtime::Runtime;

/// Two handles on one model, each with its end of the bus, on a channel of their own.
struct Accompanied {
    clock: ManualClock,
    store: Arc<dyn Store>,
    second: Arc<dyn Store>,
}

impl Fixture for Accompanied {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    fn second(&self) -> Arc<dyn Store> {
        Arc::clone(&self.second)
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}

fn accompanied() -> Accompanied {
    static SHARED: OnceLock<(Redis, Runtime)> = OnceLock::new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (redis, runtime) = SHARED.get_or_init(|| (Redis::start().unwrap(), Runtime::new().unwrap()));
    let address = format!("{}?channel=suite-{}", redis.url(), NEXT.fetch_add(1, Ordering::Relaxed));
    let _inside = runtime.enter();
    let clock = ManualClock::new();
    let model = ModelStore::manual(&clock);
    // What watchers hear, they hear by Redis.
    model.set_notify(Arc::new(|_| {}));
    let second = stent_redis::accompany(Arc::new(model.handle()), &address).unwrap();
    let store = stent_redis::accompany(Arc::new(model), &address).unwrap();
    Accompanied { clock, store, second }
}

stent_storetest::store_suite!(accompanied);
