//! What people are told to do with a database, done: the page on operations and seed 003, block by block as they are
//! written, on a server of their own; and a restored copy goes on where the dump was taken.

use std::path::Path;
use std::process::Command as Program;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{ExecutionId, ExecutionState, Name, Payload, Verdict};
use stent_engine::{AttemptError, Begun, Context, Engine, Host, StartRequest, TokioRuntime, Worker, WorkerConfig};
use stent_servers::Server;
use tokio::sync::Notify;

use crate::stores::{open, spec};

/// The page that operators read.
const PAGE: &str = include_str!("../../../../docs/operations/postgresql.md");
/// What the product's user asked for.
const SEED: &str = include_str!("../../../../testing/seeds/003_6b3928b60ade60ab.txt");

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A block of a page: its language and its text.
type Block = (String, String);

fn blocks(page: &str) -> Vec<Block> {
    let (mut all, mut open): (Vec<Block>, bool) = (Vec::new(), false);
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(language), false) => {
                all.push((language.to_owned(), String::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let text = &mut all.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {}
        }
    }
    all
}

/// The one block that holds these words.
fn block_with(page: &str, words: &str) -> String {
    let mut found = blocks(page).into_iter().filter(|(_, text)| text.contains(words));
    let (_, text) = found.next().unwrap_or_else(|| panic!("no block holds `{words}`"));
    assert!(found.next().is_none(), "several blocks hold `{words}`");
    text
}

/// Runs a block of shell in a folder, with a server at the default port's place.
fn shell(server: &Server, folder: &Path, text: &str) {
    let programs = server.database().unwrap().command("pg_dump").get_program().to_owned();
    let path = format!("{}:{}", Path::new(&programs).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut program = Program::new("sh");
    program.args(["-e", "-c", text]).current_dir(folder).env("PATH", path);
    program.env("PGPORT", server.port().to_string()).env("PGPASSWORD", "your-secure-password");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a block of SQL as whom, and where, its first line says.
fn sql(server: &Server, text: &str) -> String {
    let words: Vec<&str> = text.lines().next().unwrap().split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let ["--", "as", role, "in", "the", "database", database] = words[..] else {
        panic!("a block begins with `-- as ROLE, in the database NAME`, not with {words:?}")
    };
    server.psql_as(role, database, text).unwrap_or_else(|error| panic!("{text}\n{error:#}"))
}

/// Two steps, of which the second waits to be let through.
#[derive(Default)]
struct TwoSteps {
    first: AtomicUsize,
    second: AtomicUsize,
    reached_second: Notify,
    go_on: Notify,
}

/// What it does is known to the test, too.
struct Shared(Arc<TwoSteps>);

impl Host for Shared {
    fn functions(&self) -> Vec<FunctionView> {
        vec![FunctionView::new(Name::stored("f"))]
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let steps = Arc::clone(&self.0);
        Box::pin(async move {
            if let Begun::Run(ticket) = context.begin_step(&Name::stored("first")).await? {
                let count = steps.first.fetch_add(1, Ordering::SeqCst);
                context.finish_step(ticket, Verdict::Ok, Payload::json(&count).unwrap()).await?;
            }
            if let Begun::Run(ticket) = context.begin_step(&Name::stored("second")).await? {
                steps.reached_second.notify_one();
                steps.go_on.notified().await;
                let count = steps.second.fetch_add(1, Ordering::SeqCst);
                context.finish_step(ticket, Verdict::Ok, Payload::json(&count).unwrap()).await?;
            }
            Ok(Payload::json(&"done").unwrap())
        })
    }
}

/// A process with a worker, at a store.
struct Process {
    engine: Engine,
    _worker: Worker,
    steps: Arc<TwoSteps>,
}

async fn process(url: &str) -> Process {
    let engine = Engine::new(Arc::new(open(url)), Arc::new(TokioRuntime::current().unwrap()));
    let steps = Arc::new(TwoSteps::default());
    let worker = engine.start_worker(WorkerConfig::default(), Arc::new(Shared(Arc::clone(&steps)))).await.unwrap();
    Process { engine, _worker: worker, steps }
}

/// An execution that has recorded its first step and is about to make its second.
async fn half_way(process: &Process) -> ExecutionId {
    let request =
        StartRequest { id: None, spec: spec("default", "f"), key: None, due: None, deadline: Deadline::default() };
    let started = process.engine.start(request).await.unwrap();
    tokio::time::timeout(PATIENCE, process.steps.reached_second.notified()).await.unwrap();
    started.execution
}

/// The copy has no worker of its own any more: another process finishes what it holds, behind the first step.
async fn goes_on(copy: &str, execution: ExecutionId) {
    let process = process(copy).await;
    process.steps.go_on.notify_one();
    let view = process.engine.wait(execution, Some(PATIENCE)).await.unwrap();
    assert_eq!(view.state, ExecutionState::Completed);
    assert_eq!(process.steps.first.load(Ordering::SeqCst), 0, "what is recorded is not made again");
    assert_eq!(process.steps.second.load(Ordering::SeqCst), 1);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn the_setup_maintenance_and_backup_of_seed_003_work_and_the_copy_goes_on() {
    let (server, folder) = (Server::start().unwrap(), tempfile::tempdir().unwrap());
    server.psql(&block_with(SEED, "CREATE DATABASE stent;")).unwrap();
    let url =
        |database: &str| format!("postgresql://stent:your-secure-password@localhost:{}/{database}", server.port());
    runtime().block_on(async {
        let original = process(&url("stent")).await;
        let execution = half_way(&original).await;
        server.psql_as("stent", "stent", &block_with(SEED, "VACUUM ANALYZE")).unwrap();
        shell(&server, folder.path(), &block_with(SEED, "pg_dump -h localhost"));
        server.psql("CREATE DATABASE restored OWNER stent").unwrap();
        let dump = std::fs::read_to_string(folder.path().join("backup.sql")).unwrap();
        server.psql_as("stent", "restored", &dump).unwrap();
        goes_on(&url("restored"), execution).await;
        // The original never noticed.
        original.steps.go_on.notify_one();
        let view = original.engine.wait(execution, Some(PATIENCE)).await.unwrap();
        assert_eq!((view.state, original.steps.first.load(Ordering::SeqCst)), (ExecutionState::Completed, 1));
    });
}

#[test]
fn every_block_of_the_page_on_postgresql_works_and_the_copy_goes_on() {
    let (server, folder) = (Server::start().unwrap(), tempfile::tempdir().unwrap());
    let url =
        |database: &str| format!("postgresql://stent:your-secure-password@localhost:{}/{database}", server.port());
    let blocks = blocks(PAGE);
    let (setup, rest) = blocks.split_first().unwrap();
    sql(&server, &setup.1);
    runtime().block_on(async {
        let original = process(&url("stent")).await;
        let execution = half_way(&original).await;
        for (language, text) in rest {
            match language.as_str() {
                "sql" => drop(sql(&server, text)),
                "sh" => shell(&server, folder.path(), text),
                other => panic!("nobody runs blocks of `{other}`"),
            }
        }
        // Where the page's role works, it sees what there is.
        let ready = "SELECT state FROM stent_overview";
        assert_eq!(server.psql_as("stent_reader", "stent", ready).unwrap(), "running");
        goes_on(&url("stent_restored"), execution).await;
    });
}

/// The page's blocks up to the grants of a worker's role.
pub(crate) fn with_a_role_for_workers(server: &Server) {
    let owner = format!("postgresql://stent:your-secure-password@localhost:{}/stent", server.port());
    let blocks = blocks(PAGE);
    let grants = blocks.iter().position(|(_, text)| text.contains("REVOKE")).unwrap();
    for (at, (_, text)) in blocks[..=grants].iter().enumerate() {
        sql(server, text);
        if at == 0 {
            drop(open(&owner));
        }
    }
}
