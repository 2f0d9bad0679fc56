//! Names, options and registration: what the attribute makes of what stands in it.

use std::collections::BTreeSet;
use std::time::Duration;

use durable::testing::Executor;
use durable::{Durable, DurableError, Function, TaskStatus};

use super::run;

#[durable::function]
async fn plain(text: String, cents: u64) -> String {
    format!("{text}{cents}")
}

const QUEUE: &str = "from a constant";

#[durable::function(
    retry(max_attempts = 5, initial_delay = "1s", backoff_factor = 2.0, max_delay = "60s", jitter = 0.1),
    queue = QUEUE,
    priority = -10,
    tags = ["billing", "eu"],
    version = "v2",
    name = "payments:full",
    timeout = Duration::from_secs(90),
    cached(ttl = "1d"),
    idempotent,
    max_concurrent = 5,
)]
async fn full(order_id: String) -> String {
    order_id
}

mod inner {
    #[durable::function]
    pub(super) async fn deep(r#type: u64) -> u64 {
        r#type
    }
}

#[test]
fn a_name_is_the_modules_path_and_the_functions_unless_given() {
    assert_eq!(plain.meta().name(), "it::functions::metadata:plain");
    assert_eq!(inner::deep.meta().name(), "it::functions::metadata::inner:deep");
    assert_eq!(inner::deep.meta().parameters(), ["type"]);
    assert_eq!(full::meta().name(), "payments:full");
}

#[test]
fn every_option_is_in_the_metadata() {
    let meta = full.meta();
    assert_eq!((meta.queue_name(), meta.base_priority()), (Some("from a constant"), -10));
    assert_eq!((meta.tag_names(), meta.version_name()), (&["billing", "eu"][..], Some("v2")));
    assert_eq!(
        (meta.attempt_timeout(), meta.ttl()),
        (Some(Duration::from_secs(90)), Some(Duration::from_secs(86_400)))
    );
    assert!(meta.is_cached() && meta.is_idempotent());
    assert_eq!(meta.limit(), Some(5));
    let meta = plain.meta();
    assert_eq!((meta.queue_name(), meta.base_priority(), meta.version_name()), (None, 0, None));
    assert!(!meta.is_cached() && !meta.is_idempotent() && meta.limit().is_none());
}

#[tokio::test]
async fn annotated_functions_are_known_without_a_list() {
    let executor = Executor::new().await;
    assert_eq!(run(&executor, plain, ("a".to_owned(), 5)).await.unwrap(), "a5");
    assert_eq!(run(&executor, inner::deep, 5).await.unwrap(), 5);
}

#[tokio::test]
async fn a_registry_of_a_clients_own_knows_only_what_it_is_given() {
    let executor = Executor::with(Durable::builder().functions(durable::functions![plain])).await.unwrap();
    assert_eq!(run(&executor, plain, ("a".to_owned(), 5)).await.unwrap(), "a5");
    let unknown = executor.dispatch(full, "x".to_owned()).await.unwrap();
    assert!(matches!(unknown.wait(None).await, Err(DurableError::Stalled { .. })));
    executor.register_functions(durable::functions![full, plain]).unwrap();
    assert_eq!(run(&executor, full, "y".to_owned()).await.unwrap(), "y");
    assert_eq!(unknown.wait(None).await.unwrap(), "x");
}

task!(Clashes(nothing: (), ctx) -> () { Ok(()) });

struct TakesTheName;

#[durable::async_trait]
impl durable::Task for TakesTheName {
    const NAME: &'static str = "payments:full";
    type Params = ();
    type Output = ();

    async fn run(params: (), ctx: durable::TaskContext) -> durable::TaskResult<()> {
        Ok(())
    }
}

/// Another function of the same name, as it could come from a library: written out by hand, so that it is in no list.
#[derive(Clone, Copy)]
struct Impostor;

impl Function for Impostor {
    type Args = ();
    type Output = ();

    fn meta() -> &'static durable::FunctionMeta {
        full::meta()
    }

    fn run((): ()) -> durable::__private::BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn settle((): ()) -> durable::TaskResult<durable::__private::Payload> {
        Err("never run")?
    }

    fn read(_: durable::__private::Ended) -> Result<(), Box<durable::Failure>> {
        Ok(())
    }
}

#[tokio::test]
async fn a_name_that_is_taken_twice_is_an_error_that_names_it() {
    let executor = Executor::new().await;
    executor.register::<Clashes>().await;
    let clash = executor.try_register::<TakesTheName>().await.unwrap_err();
    assert!(matches!(&clash, DurableError::NameTaken { name } if name == "payments:full"), "{clash}");
    let clash = executor.register_functions(durable::functions![Impostor]).unwrap_err();
    assert!(clash.to_string().contains("\"payments:full\" is registered already"), "{clash}");
    let clash = Durable::builder().functions(durable::functions![full, Impostor]).database_url("sqlite::memory:");
    assert!(matches!(clash.build().await, Err(DurableError::NameTaken { .. })));
    executor.register_functions(durable::functions![full]).unwrap();
}

#[durable::function(retry(
    max_attempts = 3,
    initial_delay = "10s",
    backoff_factor = 3.0,
    max_delay = "20s",
    jitter = 0.0
))]
async fn fails() -> Result<(), String> {
    Err("always".into())
}

#[tokio::test]
async fn retries_wait_as_the_policy_says_and_never_less() {
    let executor = Executor::new().await;
    let began = executor.now();
    let execution = executor.dispatch(fails, ()).await.unwrap();
    executor.settle().await;
    executor.advance(Duration::from_secs(9)).await;
    let waiting = executor.get_task_result(execution.id()).await.unwrap().unwrap();
    assert_eq!((waiting.status, waiting.attempts), (TaskStatus::Pending, 2), "the attempt that is next");
    assert!(execution.wait(None).await.unwrap().is_err());
    assert_eq!(executor.now().since(began), Duration::from_secs(30), "10 s, then 20 s");
}

#[durable::function(retry(max_attempts = 2, initial_delay = "10s", jitter = 0.5))]
async fn fails_twice() -> Result<(), String> {
    Err("always".into())
}

#[tokio::test]
async fn delays_stray_by_their_jitter_and_no_further() {
    let executor = Executor::new().await;
    let mut delays = BTreeSet::new();
    for _ in 0..40 {
        let began = executor.now();
        assert!(run(&executor, fails_twice, ()).await.unwrap().is_err());
        delays.insert(executor.now().since(began));
    }
    let (least, most) = (delays.first().unwrap(), delays.last().unwrap());
    assert!((Duration::from_secs(5)..Duration::from_secs(10)).contains(least), "{delays:?}");
    assert!((Duration::from_secs(10)..Duration::from_millis(15_001)).contains(most), "{delays:?}");
}

#[durable::function]
async fn fails_by_default() -> Result<(), String> {
    Err(durable::context().attempt().to_string())
}

#[tokio::test]
async fn a_function_without_a_policy_has_its_clients_or_three_attempts() {
    let executor = Executor::new().await;
    assert_eq!(run(&executor, fails_by_default, ()).await.unwrap(), Err("3".into()));
    let twice = Executor::with(Durable::builder().default_max_attempts(2)).await.unwrap();
    assert_eq!(run(&twice, fails_by_default, ()).await.unwrap(), Err("2".into()));
    assert!(run(&twice, fails, ()).await.unwrap().is_err());
}

#[durable::function(timeout = "0.2s", retry(max_attempts = 1))]
async fn hangs() -> u64 {
    std::future::pending().await
}

#[tokio::test]
async fn a_timeout_ends_an_attempt_without_a_sign_of_life() {
    let executor = Executor::new().await;
    let failed = run(&executor, hangs, ()).await.unwrap_err().to_string();
    assert!(failed.contains("no sign of life"), "{failed}");
}
