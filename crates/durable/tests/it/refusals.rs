//! What cannot be is refused by an error that names the value and the rule, so that whoever reads it knows what to write
//! instead. One table for the options, durations, cron lines, names, keys, addresses and functions of the Rust face; the
//! compiler's own errors are in `testing/misuse`, those of the command line with the command.

use std::time::Duration;

use durable::testing::Executor;
use durable::{
    CancellationPolicy, Durable, DurableBuilder, DurableError, IntoSpan, RetryStrategy, SpawnOptions, TaskId,
    WorkerOptions,
};
use serde_json::{Map, Value, json};

/// What said no, and the words that must be there.
type Row = (&'static str, String, &'static [&'static str]);

const CENTURIES: Duration = Duration::from_secs(400 * 366 * 24 * 3_600);

#[durable::function]
async fn measured(text: String) -> usize {
    text.len()
}

#[durable::function(idempotent(key = |text| text.clone()))]
async fn keyed(text: String) -> usize {
    text.len()
}

fn words<T>(refused: Result<T, impl std::fmt::Display>) -> String {
    match refused {
        Ok(_) => "it was taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn built(builder: DurableBuilder) -> String {
    words(builder.build().await)
}

fn exponential(factor: f64, jitter: f64) -> RetryStrategy {
    let second = Duration::from_secs(1);
    RetryStrategy::Exponential { initial_delay: second, factor, max_delay: second, jitter }
}

/// Fails with every row that is not as it should be, and not with the first alone.
fn must_say(rows: &[Row]) {
    let lacks = |(value, said, words): &Row| {
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        (!missing.is_empty()).then(|| format!("{value}: {said:?} lacks {missing:?}"))
    };
    let wrong: Vec<_> = rows.iter().filter_map(lacks).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_bad_option_is_refused_with_its_name_its_value_and_its_rule() {
    let executor = Executor::new().await;
    let with = SpawnOptions::default;
    let mut rows: Vec<Row> = Vec::new();
    for (value, options, said) in [
        ("attempts", SpawnOptions { max_attempts: Some(0), ..with() }, &["`max_attempts`", "is 0", "at least 1"][..]),
        (
            "factor",
            SpawnOptions { retry_strategy: Some(exponential(f64::NAN, 0.0)), ..with() },
            &["`retry_strategy`", "factor of NaN", "above 0"],
        ),
        (
            "jitter",
            SpawnOptions { retry_strategy: Some(exponential(2.0, 1.5)), ..with() },
            &["`retry_strategy`", "jitter of 1.5", "from 0 to 1"],
        ),
        ("delay", SpawnOptions { delay: Some(CENTURIES), ..with() }, &["`delay`", "12648960000s", "100 years"]),
        ("timeout", SpawnOptions { timeout: Some(CENTURIES), ..with() }, &["`timeout`", "12648960000s", "100 years"]),
        ("expiry", SpawnOptions { expiry: Some(CENTURIES), ..with() }, &["`expiry`", "12648960000s", "100 years"]),
        (
            "running",
            SpawnOptions {
                cancellation: Some(CancellationPolicy { max_running_time: Some(CENTURIES), max_pending_time: None }),
                ..with()
            },
            &["`max_running_time`", "12648960000s", "100 years"],
        ),
        (
            "queue",
            SpawnOptions { queue: Some(" q".into()), ..with() },
            &["queue name \" q\"", "must not begin or end with a blank"],
        ),
        (
            "tag",
            SpawnOptions { tags: vec!["a\u{7}".into()], ..with() },
            &["tag name \"a\\u{7}\"", "must not contain control characters"],
        ),
        (
            "tags",
            SpawnOptions { tags: (0..17).map(|tag| tag.to_string()).collect(), ..with() },
            &["`tags`", "17 entries", "16 are the limit"],
        ),
        (
            "start key",
            SpawnOptions { idempotency_key: Some("k".repeat(256)), ..with() },
            &["idempotency key name \"kkkk", "at most 255 bytes"],
        ),
        (
            "headers",
            SpawnOptions {
                headers: Some(Map::from_iter([("h".to_owned(), Value::from("x".repeat(70_000)))])),
                ..with()
            },
            &["`headers`", "70008 bytes", "64 KiB are the limit"],
        ),
    ] {
        rows.push((value, words(executor.spawn_by_name("any", json!({}), options).await), said));
    }
    let dispatched = executor.dispatch(measured, "a".to_owned()).delay("10 minutes").await;
    rows.push(("delay", words(dispatched), &["`delay`", "\"10 minutes\"", "at character 3", "a unit is expected"]));
    let both = executor.dispatch(measured, "a".to_owned()).expiry("1h").max_duration("2h").await;
    rows.push(("both limits", words(both), &["`max_duration`", "`expiry`", "set one of them"]));
    rows.push((
        "a function's key",
        words(executor.dispatch(keyed, "k".repeat(2_000)).await),
        &["`key`", "kkkk", "at most 1,024 bytes", "key function"],
    ));
    rows.push((
        "an empty queue",
        built(Durable::builder().database_url("sqlite::memory:").queue_name("")).await,
        &["queue name \"\"", "must not be empty"],
    ));
    rows.push((
        "default attempts",
        built(Durable::builder().database_url("sqlite::memory:").default_max_attempts(0)).await,
        &["`max_attempts`", "is 0", "at least 1"],
    ));
    must_say(&rows);
}

#[tokio::test]
async fn a_worker_with_a_bad_option_does_not_start_and_says_why() {
    let client = Durable::builder().database_url("sqlite::memory:").build().await.unwrap();
    let with = WorkerOptions::default;
    let mut rows: Vec<Row> = Vec::new();
    for (value, options, said) in [
        ("slots", WorkerOptions { concurrency: 0, ..with() }, &["`concurrency`", "is 0", "at least 1"][..]),
        ("batch", WorkerOptions { batch_size: 1_001, ..with() }, &["`batch_size`", "is 1001", "from 1 to 1000"]),
        ("poll", WorkerOptions { poll_interval: Duration::ZERO, ..with() }, &["`poll_interval`", "is 0", "longer"]),
        (
            "cleanup",
            WorkerOptions { cleanup_interval: Duration::ZERO, ..with() },
            &["`cleanup_interval`", "is 0", "longer"],
        ),
        ("grace", WorkerOptions { drain_grace: CENTURIES, ..with() }, &["`drain_grace`", "12648960000s", "100 years"]),
        ("no queue", WorkerOptions { queues: Some(Vec::new()), ..with() }, &["`queues`", "names none", "runs nothing"]),
        (
            "all and one",
            WorkerOptions { queues: Some(vec!["q".into()]), all_queues: true, ..with() },
            &["`all_queues`", "beside `queues`"],
        ),
        (
            "a queue",
            WorkerOptions { queues: Some(vec!["q\n".into()]), ..with() },
            &["queue name \"q\\n\"", "control characters"],
        ),
        ("a tag", WorkerOptions { tags: Some(vec!["t ".into()]), ..with() }, &["tag name \"t \"", "a blank"]),
    ] {
        rows.push((value, words(client.try_start_worker(options).await), said));
    }
    must_say(&rows);
}

#[test]
fn a_bad_duration_is_refused_where_it_stops_being_one() {
    let rows: Vec<Row> = [
        ("", &["\"\"", "at character 1 (its end)", "a number is expected"][..]),
        ("soon", &["\"soon\"", "at character 1 ('s')", "a number is expected"]),
        ("10", &["\"10\"", "at character 3 (its end)", "a unit is expected: s, m, h, d or w"]),
        ("5 m", &["\"5 m\"", "at character 2 (' ')", "a unit is expected"]),
        ("10ms", &["\"10ms\"", "at character 4 ('s')", "a number is expected"]),
        ("1.h", &["\"1.h\"", "at character 3 ('h')", "a digit must follow the point"]),
        ("9999w", &["\"9999w\"", "the limit of about 100 years"]),
    ]
    .map(|(text, said)| (text, words(text.into_span()), said))
    .into();
    must_say(&rows);
}

#[tokio::test]
async fn a_bad_schedule_is_refused_with_its_line_the_field_and_what_that_may_hold() {
    let executor = Executor::new().await;
    let mut rows: Vec<Row> = Vec::new();
    for (line, said) in [
        ("60 * * * *", &["\"60 * * * *\"", "field 1 (minute) is \"60\"", "0-59"][..]),
        ("0 25 * * *", &["field 2 (hour) is \"25\"", "0-23"]),
        ("0 0 32 * *", &["field 3 (day of month) is \"32\"", "1-31"]),
        ("0 0 * FOO *", &["field 4 (month) is \"FOO\"", "1-12 or JAN-DEC"]),
        ("0 0 * * 9", &["field 5 (day of week) is \"9\"", "0-7 or SUN-SAT"]),
        ("* *", &["\"* *\"", "five fields are wanted", "there are 2"]),
        ("@nightly", &["\"@nightly\"", "five fields are wanted"]),
        ("0 0 31 2 *", &["\"0 0 31 2 *\"", "names no time that ever comes"]),
    ] {
        rows.push((line, words(executor.schedule("s", line, measured, "a".to_owned()).await), said));
    }
    let zone = executor.schedule("s", "@daily", measured, "a".to_owned()).time_zone("Mars/Olympus").await;
    rows.push(("zone", words(zone), &["time zone \"Mars/Olympus\"", "is not known", "Europe/Berlin"]));
    rows.push(("gone", words(executor.run_schedule_now("gone").await), &["there is no schedule \"gone\""]));
    let name = executor.schedule("", "@daily", measured, "a".to_owned()).await;
    rows.push(("name", words(name), &["schedule name \"\"", "must not be empty"]));
    let expiry = executor.schedule("s", "@daily", measured, "a".to_owned()).expiry(CENTURIES).await;
    rows.push(("expiry", words(expiry), &["`expiry`", "12648960000s", "100 years"]));
    must_say(&rows);
}

#[tokio::test]
async fn a_bad_address_is_refused_with_the_part_that_cannot_be_and_without_a_password() {
    const MODES: &str = "prefer, disable, allow, require, verify-ca, verify-full";
    let mut rows: Vec<Row> = Vec::new();
    let server: &[&str] = &["\"mysql:\"", "postgres://HOST/DATABASE"];
    for (address, said) in [
        ("mysql://ann:s3cret@db/app", server),
        ("s3cret", &["names no kind of database", "sqlite://FILE"]),
        ("sqlite://", &["names no file", "sqlite://stent.db"]),
        ("sqlite://a.db?mode=ro", &["has options", "a.db?mode=ro", "there are none"]),
        ("postgres://ann:s3cret@db:99999/app", &["port", "from 1 to 65535"]),
        ("postgres://ann:s3cret@db/app?sslmode=maybe", &["sslmode is one of", MODES, "and not \"maybe\""]),
        ("postgres://ann:s3cret@db/app?max_size=0", &["max_size is a whole number from 1", "and not \"0\""]),
        ("postgres://ann:s3cret@db/app?schema=pg_own", &["the schema \"pg_own\"", "the server's own", "another"]),
        (
            "postgres://ann:s3cret@db/app?target_session_attrs=standby",
            &["target_session_attrs is one of any, read-write, primary", "and not \"standby\""],
        ),
    ] {
        let said_of = built(Durable::builder().database_url(address)).await;
        assert!(!said_of.contains("s3cret"), "{said_of}");
        rows.push((address, said_of, said));
    }
    must_say(&rows);
}

#[tokio::test]
async fn an_unknown_function_or_task_is_named() {
    let executor = Executor::new().await;
    let unnamed = executor.spawn_by_name("", json!({}), SpawnOptions::default()).await;
    // Known to nobody by now: it waits for a worker that knows it, and what waits in vain is told.
    let unknown = executor.spawn_by_name("nobody's", json!({}), SpawnOptions::default()).await.unwrap();
    let waited = executor.wait_for(unknown.task_id, None).await;
    must_say(&[
        ("no name", words(unnamed), &["task name \"\"", "must not be empty"]),
        ("unknown", words(waited), &["\"nobody's\"", "waits for a worker that runs it"]),
    ]);
    let nothing = executor.wait_for(TaskId::v7(1, [1; 10]), None).await;
    assert!(matches!(nothing, Err(DurableError::UnknownTask)));
}
