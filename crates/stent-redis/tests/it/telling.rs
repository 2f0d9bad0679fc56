//! Who is told what when all is well.

use stent_servers::Redis;

use crate::{World, cancel, commit, listen};

#[tokio::test]
async fn what_one_process_commits_the_other_hears_by_redis_alone() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    // The line is there: what was missed before counts as news.
    world.hears("changed").await;
    world.forget();
    let id = world.start().await;
    world.hears("changed").await;
    world.forget();
    commit(&*world.a, cancel(id)).await;
    world.hears("ended").await;
}

#[tokio::test]
async fn a_process_is_not_told_of_its_own_commits() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    let (_listener, mut own) = listen(&*world.a);
    assert_eq!(own.recv().await, Some("changed"), "its line is there");
    world.hears("changed").await;
    for _ in 0..5 {
        world.forget();
        world.start().await;
        world.hears("changed").await;
    }
    // Redis sends to all who listen in one go: what the other has heard has come here too.
    assert!(own.try_recv().is_err());
}

#[tokio::test]
async fn those_who_name_another_channel_hear_nothing() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    let mut others = World::at(&format!("{}?channel=others", redis.url()));
    world.hears("changed").await;
    others.hears("changed").await;
    others.forget();
    world.forget();
    world.start().await;
    world.hears("changed").await;
    assert!(others.heard.try_recv().is_err());
}

#[tokio::test]
async fn many_commits_become_few_messages_and_the_last_is_not_lost() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    for _ in 0..200 {
        world.start().await;
    }
    world.a.close().await.unwrap();
    world.hears("changed").await;
    let mut told = 1;
    while world.heard.try_recv().is_ok() {
        told += 1;
    }
    assert!(told <= 100, "{told} words of 200 commits");
    assert_eq!(world.b.count_executions(None).await.unwrap(), 200);
}

#[tokio::test]
async fn a_process_that_closes_at_once_has_told_of_its_last_commit() {
    let redis = Redis::start().unwrap();
    let mut world = World::at(&redis.url());
    world.hears("changed").await;
    world.forget();
    world.start().await;
    world.a.close().await.unwrap();
    world.hears("changed").await;
}
