//! What idle workers cost their server: next to nothing. The workers are the engine's own.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{MissedTicks, Name, Payload, Schedule, TaskOptions, TaskSpec};
use stent_engine::{AttemptError, Context, Engine, Host, TokioRuntime, WorkerConfig};
use stent_servers::Server;

use crate::stores::open;

const WORKERS: usize = 10;

/// What all processes of the server may use together, of a second of a core.
const LIMIT: Duration = Duration::from_millis(10);

/// Sessions are opened, statements planned and functions published before it counts.
const SETTLING: Duration = Duration::from_secs(3);

/// Where other programs press for the processor, the same work takes longer: what is too much is so in each round.
const ROUNDS: u32 = 3;

/// How long is measured: more by hand, `IDLE_SECONDS=60 cargo test -p stent-postgres --test it idle`.
fn seconds() -> u32 {
    std::env::var("IDLE_SECONDS").map_or(12, |text| text.parse().unwrap())
}

/// A worker that knows functions and is never given any.
struct Idle;

impl Host for Idle {
    fn functions(&self) -> Vec<FunctionView> {
        let names = ["charge", "ship", "mail"].map(Name::stored);
        names.map(FunctionView::new).into()
    }

    fn run(&self, _: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        Box::pin(async { Ok(Payload::null()) })
    }
}

/// The numbers of `/proc/PID/stat` from the state on, whose place is 0.
fn stat(process: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before may hold blanks.
    Some(text.rsplit_once(") ")?.1.split(' ').map(|word| word.trim().parse().unwrap_or(0)).collect())
}

/// Time that the server's processes have run: those that live, to the nanosecond, and those that have ended.
fn used(postmaster: u32) -> Duration {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let of_server = processes.filter(|process| {
        *process == postmaster || stat(*process).is_some_and(|stat| stat[1] == u64::from(postmaster))
    });
    let living: u64 = of_server
        .filter_map(|process| {
            let schedule = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
            schedule.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    let stat = stat(postmaster).unwrap();
    // Hundredths of a second, on every Linux there is.
    let ended = (stat[13] + stat[14]) * 10;
    Duration::from_nanos(living) + Duration::from_millis(ended)
}

/// A schedule that is due once a year.
fn yearly() -> Schedule {
    let (cron, zone) = ("@yearly".to_owned(), "UTC".to_owned());
    let spec = TaskSpec {
        function: Name::stored("charge"),
        args: Payload::null(),
        queue: Name::stored("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions::default(),
    };
    Schedule { name: Name::stored("yearly"), cron, zone, missed: MissedTicks::One, spec, deadline: Deadline::default() }
}

#[test]
fn ten_idle_workers_cost_their_server_a_hundredth_of_a_core() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            let engine = Engine::new(Arc::new(open(&database.url())), Arc::new(TokioRuntime::current().unwrap()));
            let worker = engine.start_worker(WorkerConfig::default(), Arc::new(Idle)).await.unwrap();
            workers.push((engine, worker));
        }
        // A schedule that is not due costs nothing either.
        workers[0].0.set_schedule(yearly()).await.unwrap();
        // A connection that stays tells which process they all come from.
        let one = database.psql(
            "SELECT min(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        let postmaster = u32::try_from(stat(one.unwrap().parse().unwrap()).unwrap()[1]).unwrap();
        tokio::time::sleep(SETTLING).await;
        let (span, mut least) = (Duration::from_secs(u64::from(seconds())), Duration::MAX);
        for _ in 0..ROUNDS {
            let before = used(postmaster);
            tokio::time::sleep(span).await;
            least = least.min(used(postmaster).saturating_sub(before));
            println!("{WORKERS} idle workers: at least {least:?} of the server's processes in {span:?}");
            if least <= LIMIT * seconds() {
                break;
            }
        }
        assert!(least <= LIMIT * seconds(), "{least:?} in {span:?}, {:?} are the limit", LIMIT * seconds());
        for (engine, worker) in workers {
            worker.shutdown().await;
            engine.close().await.unwrap();
        }
    });
}
