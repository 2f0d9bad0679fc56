//! The outbox: commands on a transaction of the user's own, by each of the libraries that it may be of.

use std::thread;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use stent_core::command::{Start, Wait};
use stent_core::{Command, Done, Name, Outcome, Refusal, Store, StoreError, StoreErrorKind, TaskRef, TaskState};
use stent_postgres::outbox;
use stent_servers::Server;
use tokio::runtime::{Builder, Runtime};

use crate::hands::{
    Hand, World, ask, await_signal, claim_one, emit, execution_in, joined, new_start, signal, suspend, tell, view,
    wait_for, watch,
};
use crate::stores::{block, start_one, step, worker};

/// How a transaction of the user's ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

/// The library of the user's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    TokioPostgres,
    Sqlx,
}

const LIBRARIES: [Library; 2] = [Library::TokioPostgres, Library::Sqlx];

/// Somebody with transactions of their own.
struct User {
    library: Library,
    url: String,
}

impl User {
    fn of(library: Library, world: &World) -> Self {
        Self { library, url: world.database.url() }
    }

    /// A transaction of the user's: begun so, with a row of the user's, then the commands, then whether `before` still
    /// holds, then its end.
    fn transaction(
        &self,
        begin: &str,
        commands: Vec<Command>,
        before: impl FnOnce(),
        end: End,
    ) -> Result<Vec<Outcome>, StoreError> {
        match self.library {
            Library::TokioPostgres => self.by_tokio_postgres(begin, commands, before, end),
            Library::Sqlx => self.by_sqlx(begin, commands, before, end),
        }
    }

    fn by_tokio_postgres(
        &self,
        begin: &str,
        commands: Vec<Command>,
        before: impl FnOnce(),
        end: End,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut hand = Hand::at(&self.url);
        let (runtime, client) = hand.parts();
        let (outcomes, transaction) = runtime.block_on(async {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(begin).await.unwrap();
            transaction.execute("INSERT INTO orders VALUES (1)", &[]).await.unwrap();
            let outcomes = outbox::apply(&transaction, commands).await;
            // It can be used whatever came of the commands.
            transaction.execute("INSERT INTO orders VALUES (2)", &[]).await.unwrap();
            (outcomes, transaction)
        });
        before();
        runtime.block_on(async {
            match end {
                End::Commit => transaction.commit().await.unwrap(),
                End::Rollback => transaction.rollback().await.unwrap(),
            }
        });
        outcomes
    }

    fn by_sqlx(
        &self,
        begin: &str,
        commands: Vec<Command>,
        before: impl FnOnce(),
        end: End,
    ) -> Result<Vec<Outcome>, StoreError> {
        let runtime = runtime();
        let mut connection = runtime.block_on(PgConnection::connect(&self.url)).unwrap();
        let (outcomes, transaction) = runtime.block_on(async {
            let mut transaction = connection.begin().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *transaction).await.unwrap();
            sqlx::query("INSERT INTO orders VALUES ($1)").bind(1).execute(&mut *transaction).await.unwrap();
            let outcomes = outbox::apply_sqlx(&mut transaction, commands).await;
            sqlx::query("INSERT INTO orders VALUES ($1)").bind(2).execute(&mut *transaction).await.unwrap();
            (outcomes, transaction)
        });
        before();
        runtime.block_on(async {
            match end {
                End::Commit => transaction.commit().await.unwrap(),
                End::Rollback => transaction.rollback().await.unwrap(),
            }
        });
        outcomes
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn world() -> World {
    let world = World::new();
    world.eye.say("CREATE TABLE orders (id int4)");
    world
}

fn failed_name() -> Command {
    // A NUL is the one character that the server does not take.
    emit("a\0b")
}

#[test]
fn a_start_a_signal_and_an_emit_commit_with_the_users_rows_or_not_at_all() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let ours = worker(&world.a);
        let waits = world.running(&world.a, ours, 0);
        assert!(tell(&world.a, waits, |lease| await_signal(lease, 1)).is_ok());
        let news = |lease| wait_for(lease, 2, "e", Wait::Event(Name::stored("default"), Name::stored("news")));
        assert!(tell(&world.a, waits, news).is_ok());
        assert_eq!(tell(&world.a, waits, suspend), Ok(Done::Suspended));
        let id = execution_in(1);
        for end in [End::Rollback, End::Commit] {
            let commands = vec![start_one(id), signal(waits.task.execution), emit("news")];
            let (b, eye) = (&world.b, &world.eye);
            let nothing_yet = || {
                assert_eq!(block(b.execution(id)).unwrap(), None, "not before the user commits");
                assert_eq!(view(b, waits.task).state, TaskState::Suspended);
                assert_eq!(eye.ask("SELECT count(*) FROM orders"), "0");
            };
            let outcomes = user.transaction("", commands, nothing_yet, end).unwrap();
            let started = Done::Started { execution: id, created: true, claimed: None };
            assert_eq!(outcomes, [Ok(started), Ok(Done::Nothing), Ok(Done::Nothing)]);
            if end == End::Rollback {
                assert_eq!(world.count("executions") + world.count("signals") + world.count("events"), 1);
                assert_eq!(view(&world.b, waits.task).state, TaskState::Suspended);
            }
        }
        assert_eq!(world.count("orders"), 2);
        assert!(block(world.b.execution(id)).unwrap().is_some());
        let claimed = crate::hands::claim(&world.b, worker(&world.b), 10);
        let mut tasks: Vec<_> = claimed.iter().map(|task| task.lease.task).collect();
        tasks.sort_unstable();
        assert_eq!(tasks, [waits.task, TaskRef::root(id)]);
        assert_eq!(block(world.b.arrivals(waits.task)).unwrap().len(), 2);
    }
}

#[test]
fn a_refused_command_leaves_the_users_transaction_and_the_other_commands_as_they_are() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let (id, nobody) = (execution_in(0), execution_in(0));
        let commands = vec![start_one(id), start_one(id), signal(nobody), emit("news")];
        let outcomes = user.transaction("", commands, || (), End::Commit).unwrap();
        let errors: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().copied()).collect();
        assert_eq!(errors, [None, Some(Refusal::Exists), Some(Refusal::Unknown), None]);
        assert_eq!((world.count("orders"), world.count("executions"), world.count("events")), (2, 1, 1));
    }
}

#[test]
fn a_command_that_fails_takes_the_others_with_it_and_leaves_the_users_transaction_as_it_is() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let error = user.transaction("", vec![start_one(execution_in(0)), failed_name()], || (), End::Commit);
        assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Misuse);
        assert_eq!((world.count("orders"), world.count("executions"), world.count("events")), (2, 0, 0));
    }
}

#[test]
fn a_connection_that_finds_no_store_or_another_ones_tables_is_told_so() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        world.eye.say("CREATE SCHEMA other; CREATE TABLE other.orders (id int4)");
        let begin = "SET LOCAL search_path TO other";
        let error = user.transaction(begin, vec![start_one(execution_in(0))], || (), End::Commit).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misuse);
        assert!(error.hint().contains("search_path"), "{error}");
        assert_eq!(world.eye.ask("SELECT count(*) FROM other.orders"), "2");
        world.eye.say("UPDATE stent_schema SET oldest_client = 1000");
        let error = user.transaction("", vec![start_one(execution_in(0))], || (), End::Commit).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert_eq!(world.count("executions"), 0);
    }
}

#[test]
fn a_role_that_may_not_see_the_tables_is_told_so_and_its_transaction_goes_on() {
    for library in LIBRARIES {
        let world = world();
        let role = Server::shared().role().unwrap();
        world.eye.say(&format!("GRANT INSERT ON orders TO {}", role.name()));
        let theirs = User { library, url: world.database.url_as(&role) };
        let error = theirs.transaction("", vec![start_one(execution_in(0))], || (), End::Commit).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert!(error.hint().contains("GRANT"), "{error}");
        assert_eq!(world.count("orders"), 2);
        // What is granted to a role goes before it.
        world.eye.say(&format!("REVOKE ALL ON orders FROM {}", role.name()));
    }
}

#[test]
fn a_store_in_a_schema_of_its_own_is_found_by_the_search_path() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let there = crate::stores::open(&format!("{}?schema=elsewhere", world.database.url()));
        let id = execution_in(0);
        let begin = "SET LOCAL search_path TO elsewhere, public";
        user.transaction(begin, vec![start_one(id)], || (), End::Commit).unwrap();
        assert!(block(there.execution(id)).unwrap().is_some());
        assert_eq!(block(world.a.execution(id)).unwrap(), None);
    }
}

#[test]
fn workers_are_told_when_the_user_commits_and_not_before() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let (_watcher, told) = watch(&world.a);
        let hears = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND (query LIKE '%LISTEN stent\\_%' OR query LIKE '%LISTEN \"stent\\_%')";
        crate::hands::until("it listens", || world.eye.ask(hears) != "0");
        // What is told at first is what happened before it listened.
        while told.recv_timeout(Duration::from_millis(300)).is_ok() {}
        let silent = || assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "told too early");
        user.transaction("", vec![start_one(execution_in(0))], silent, End::Commit).unwrap();
        told.recv_timeout(crate::hands::PATIENCE).unwrap();
    }
}

#[test]
fn a_start_with_the_same_key_waits_for_the_users_transaction_and_gets_its_execution() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let keyed = |id| Command::Start(Box::new(Start { key: Some(Name::stored("k")), ..new_start(id) }));
        let (first, second) = (execution_in(0), execution_in(0));
        let (b, eye) = (&world.b, &world.eye);
        let outcome = thread::scope(|scope| {
            let mut other = None;
            let meets = || {
                other = Some(scope.spawn(move || ask(b, second, keyed(second))));
                let waits = "SELECT count(*) FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
                crate::hands::until("the other start waits", || eye.ask(waits) == "1");
            };
            user.transaction("", vec![keyed(first)], meets, End::Commit).unwrap();
            joined(other.unwrap())
        });
        assert_eq!(outcome, Ok(Done::Started { execution: first, created: false, claimed: None }));
    }
}

#[test]
fn a_cancel_in_a_users_transaction_fences_the_owner_off() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let ours = worker(&world.a);
        for lane in [0, 1] {
            let task = world.running(&world.a, ours, lane);
            let outcomes = user.transaction("", vec![Command::Cancel(task.task)], || (), End::Commit);
            assert_eq!(outcomes.unwrap(), [Ok(Done::Nothing)]);
            assert_eq!(tell(&world.a, task, |lease| step(lease, 1)), Err(Refusal::Terminal(TaskState::Cancelled)));
        }
    }
}

#[test]
fn a_signal_in_a_transaction_that_sees_an_older_moment_is_not_lost() {
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut world = world();
        let ours = worker(&world.a);
        let task = world.running(&world.a, ours, 0);
        let a = world.a.clone();
        let (runtime, client) = world.hand.parts();
        let outcome = runtime.block_on(async {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(&format!("SET TRANSACTION ISOLATION LEVEL {isolation}")).await.unwrap();
            transaction.query_typed("SELECT count(*) FROM orders", &[]).await.unwrap();
            // Its moment is fixed; now the task waits. On a thread of its own: a commit blocks the one it is on.
            thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    assert_eq!(tell(&a, task, |lease| await_signal(lease, 1)), Ok(Done::Waiting(None)));
                    assert_eq!(tell(&a, task, suspend), Ok(Done::Suspended));
                });
                joined(waits);
            });
            let outcome = outbox::apply(&transaction, vec![signal(task.task.execution)]).await;
            transaction.batch_execute("INSERT INTO orders VALUES (1)").await.unwrap();
            transaction.commit().await.unwrap();
            outcome
        });
        match outcome {
            // Either it is refused with words that say what to do, or it wakes whoever waits.
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Misuse, "{error}");
                assert!(error.hint().contains("READ COMMITTED"), "{error}");
                assert_eq!(world.count("signals"), 0);
            }
            Ok(_) => assert_eq!(claim_one(&world.a, ours).task, task.task),
        }
        assert_eq!(world.count("orders"), 1);
    }
}

#[test]
fn a_start_and_an_emit_in_a_serializable_transaction_come_through() {
    for library in LIBRARIES {
        let world = world();
        let user = User::of(library, &world);
        let id = execution_in(0);
        let begin = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
        let outcomes = user.transaction(begin, vec![start_one(id), emit("news")], || (), End::Commit).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert!(block(world.a.execution(id)).unwrap().is_some());
    }
}

#[test]
fn a_connection_without_a_transaction_is_told_so() {
    let world = world();
    let outcome = runtime().block_on(async {
        let mut connection = PgConnection::connect(&world.database.url()).await.unwrap();
        outbox::apply_sqlx(&mut connection, vec![start_one(execution_in(0))]).await
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misuse, "{error}");
    assert!(error.hint().contains("BEGIN"), "{error}");
    assert_eq!(world.count("executions"), 0);
}
