//! W5: one parent calls 1,000 children and awaits them all. The clock runs from before the parent's start to its
//! result.

use std::time::Instant;

use anyhow::ensure;
use durable::{Task, TaskContext, TaskResult, async_trait};

use super::{await_result, open, payload, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const CHILDREN: usize = 1_000;

struct Child;

#[async_trait]
impl Task for Child {
    const NAME: &'static str = "child";
    type Params = String;
    type Output = String;

    async fn run(params: String, _: TaskContext) -> TaskResult<String> {
        Ok(params)
    }
}

struct Parent;

#[async_trait]
impl Task for Parent {
    const NAME: &'static str = "parent";
    type Params = usize;
    type Output = usize;

    async fn run(children: usize, ctx: TaskContext) -> TaskResult<usize> {
        let results = ctx.map::<Child>("child", (0..children).map(|_| payload())).await?;
        Ok(results.len())
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let database = ground.fresh_database()?;
    let client = open(&database.url, ()).await?;
    client.try_register::<Parent>().await?;
    client.try_register::<Child>().await?;
    let worker = start_worker(&client).await?;
    // The first execution of a process pays for what all later ones find ready.
    let first = client.spawn::<Parent>(1).await?;
    await_result::<Parent>(&client, &first).await?;

    let began = Instant::now();
    let parent = client.spawn::<Parent>(CHILDREN).await?;
    let awaited = await_result::<Parent>(&client, &parent).await?;
    let took = began.elapsed();
    ensure!(awaited == CHILDREN, "{awaited} children were awaited");
    stop(worker, client).await?;
    Ok(vec![Sample::of(Figure::Children, took.as_secs_f64())])
}
