//! Redis is absent, ends or hangs: commits do not notice, and word comes again when it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stent_servers::Redis;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::World;

/// Far below the time that is given to Redis to answer.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Commits of the first process, which take as long as without a Redis.
async fn commits_do_not_wait(world: &mut World) {
    let began = Instant::now();
    for _ in 0..20 {
        world.start().await;
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_redis_that_comes_late_is_found() {
    let mut redis = Redis::start().unwrap();
    redis.stop();
    let mut world = World::at(&redis.url());
    commits_do_not_wait(&mut world).await;
    redis.restart().unwrap();
    world.hears("changed").await;
    world.forget();
    world.start().await;
    world.hears("changed").await;
}

#[tokio::test]
async fn a_redis_that_goes_away_and_comes_back_is_found_again() {
    let mut redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    for _ in 0..2 {
        redis.stop();
        commits_do_not_wait(&mut world).await;
        world.forget();
        redis.restart().unwrap();
        // What was committed meanwhile is news now.
        world.hears("changed").await;
        world.forget();
        world.start().await;
        world.hears("changed").await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_holds_no_commit_up_and_goes_on() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    redis.pause().unwrap();
    world.forget();
    commits_do_not_wait(&mut world).await;
    redis.resume().unwrap();
    world.hears("changed").await;
}

#[tokio::test]
async fn a_close_waits_for_a_silent_redis_only_briefly() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    redis.pause().unwrap();
    world.start().await;
    let began = Instant::now();
    world.a.close().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_line_whose_other_end_is_silent_is_given_up_though_nobody_speaks() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    world.forget();
    redis.pause().unwrap();
    // Nothing is committed: only asking finds out that nobody answers.
    let given_up = async {
        while warnings.0.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, given_up).await.unwrap();
    redis.resume().unwrap();
    world.hears("changed").await;
}

#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stent_redis")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() <= Level::WARN {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn one_warning_tells_of_a_redis_that_cannot_be_reached_however_often_it_is_tried() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let mut redis = Redis::start().unwrap();
    // One end alone: each process warns for itself.
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    for _ in 0..3 {
        redis.stop();
        redis.restart().unwrap();
        world.hears("changed").await;
    }
    assert_eq!(warnings.0.load(Ordering::SeqCst), 1);
}
