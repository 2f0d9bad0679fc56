//! The commands over a database, run as users run them: on SQLite and on PostgreSQL, in words and as JSON, with the exit
//! codes that tell the outcome.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use durable::{Durable, SpawnOptions, Task, TaskContext, TaskId, TaskResult, TaskStatus, WorkerOptions, async_trait};
use serde_json::{Value, json};
use stent_servers::{Database, Server};
use tempfile::TempDir;

/// Adds up its steps, or fails.
struct Order;

#[async_trait]
impl Task for Order {
    const NAME: &'static str = "shop:order";
    type Params = u64;
    type Output = u64;

    async fn run(cents: u64, ctx: TaskContext) -> TaskResult<u64> {
        let charged = ctx.step("charge", || async { Ok(cents) }).await?;
        ctx.counters().add("looks", 1_i64).await?;
        if cents == 13 {
            return Err(std::io::Error::other("no\u{1b}[31m luck").into());
        }
        if cents == 7 {
            ctx.wait_for_signal::<Value>("go", None).await?;
        }
        Ok(charged)
    }
}

/// Where the commands work.
enum Place {
    File(TempDir),
    Server(Database),
}

struct World {
    place: Place,
    client: Durable,
    runtime: tokio::runtime::Runtime,
}

/// What a command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

impl World {
    fn new(place: Place) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = runtime.block_on(async {
            let client = Durable::builder().database_url(url(&place)).build().await.unwrap();
            client.register::<Order>().await;
            client
        });
        Self { place, client, runtime }
    }

    fn stent(&self, arguments: &[&str]) -> Said {
        stent_at(&url(&self.place), arguments)
    }

    fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.stent(arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?}: {}", said.out);
        said
    }

    fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        let said = self.stent(arguments);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(words), "{arguments:?}: {}", said.err);
    }

    /// Orders of these prices, run to their ends by a worker; those of 7 are left waiting for their signal.
    fn orders(&self, cents: &[u64]) -> Vec<TaskId> {
        self.runtime.block_on(async {
            let worker = self.client.start_worker(WorkerOptions::default()).await;
            let mut ids = Vec::new();
            for cents in cents {
                let options = SpawnOptions { max_attempts: Some(1), tags: vec!["shop".into()], ..Default::default() };
                let spawned = self.client.spawn_with_options::<Order>(*cents, options).await.unwrap();
                ids.push(spawned.task_id);
                if *cents != 7 {
                    self.client.wait_for(spawned.task_id, None).await.unwrap();
                } else {
                    while self.client.counters(spawned.task_id).await.unwrap().is_empty() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
            worker.shutdown().await;
            ids
        })
    }

    fn status(&self, id: TaskId) -> TaskStatus {
        self.runtime.block_on(self.client.get_task_result(id)).unwrap().unwrap().status
    }
}

fn url(place: &Place) -> String {
    match place {
        Place::File(folder) => format!("sqlite://{}", folder.path().join("stent.db").display()),
        Place::Server(database) => database.url(),
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stent"));
    command.args(arguments).env_remove("DURABLE_DATABASE_URL");
    command
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Said { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn stent_at(url: &str, arguments: &[&str]) -> Said {
    said(&command(&[&["--db", url], arguments].concat()).output().unwrap())
}

/// Each test on both stores.
fn on_both(test: impl Fn(&World)) {
    test(&World::new(Place::File(tempfile::tempdir().unwrap())));
    test(&World::new(Place::Server(Server::shared().database().unwrap())));
}

#[test]
fn what_ran_is_listed_shown_and_counted() {
    on_both(|world| {
        assert_eq!(world.ok(&["list"]).out, "no executions\n");
        assert_eq!(world.ok(&["list", "--json"]).json(), json!([]));
        let ids = world.orders(&[250, 13, 7]);
        let [done, failed, waiting] = [0, 1, 2].map(|at| ids[at].to_string());

        let list = world.ok(&["list"]).out;
        let lines: Vec<&str> = list.lines().collect();
        assert!(lines[0].starts_with("EXECUTION "), "{list}");
        assert_eq!(lines.len(), 4, "{list}");
        // Newest first, aligned, nothing that steers a terminal.
        for (line, id, state) in [(1, &waiting, "running"), (2, &failed, "failed"), (3, &done, "completed")] {
            assert!(lines[line].starts_with(id.as_str()) && lines[line].contains(state), "{list}");
            assert_eq!(lines[line].find("shop:order"), lines[0].find("FUNCTION"), "{list}");
        }
        assert!(list.contains("no\\u{1b}[31m luck") && !list.contains('\u{1b}'), "{list}");

        let json = world.ok(&["list", "--json", "--state", "failed"]).json();
        assert_eq!(json.as_array().unwrap().len(), 1);
        let entry = &json[0];
        assert_eq!(
            (&entry["id"], &entry["state"], &entry["tags"]),
            (&json!(failed), &json!("failed"), &json!(["shop"]))
        );
        assert!(entry["failure"]["message"].as_str().unwrap().contains("luck"));
        assert!(entry["created_at"].as_str().unwrap().ends_with('Z'));
        let page = world.ok(&["list", "--json", "--limit", "1", "--offset", "1"]).json();
        assert_eq!((page.as_array().unwrap().len(), &page[0]["id"]), (1, &json!(failed)));
        assert_eq!(world.ok(&["list", "--queue", "nobody's"]).out, "no executions\n");

        let shown = world.ok(&["show", &done]).out;
        for words in ["state      completed", "counter    looks = 1", "result     250", "charge", "tags       shop"] {
            assert!(shown.contains(words), "`{words}` is missing:\n{shown}");
        }
        let shown = world.ok(&["--json", "show", &done]).json();
        assert_eq!((&shown["result"], &shown["counters"]), (&json!(250), &json!({ "looks": 1 })));
        let steps: Vec<_> = shown["progress"].as_array().unwrap().iter().map(|p| (&p["step"], &p["status"])).collect();
        assert_eq!(steps, [(&json!("shop:order"), &json!("completed")), (&json!("charge"), &json!("completed"))]);

        let tasks = world.ok(&["tasks", "--json", &waiting]).json();
        assert_eq!((tasks.as_array().unwrap().len(), &tasks[0]["execution"]), (1, &json!(waiting)));
        assert_eq!(world.ok(&["tasks", "--json"]).json().as_array().unwrap().len(), 3);
        assert_eq!(world.ok(&["tasks", "--state", "timed_out"]).out, "no tasks\n");

        let stats = world.ok(&["stats", "--json"]).json();
        let executions: BTreeMap<&str, u64> =
            stats["executions"].as_object().unwrap().iter().map(|(s, n)| (s.as_str(), n.as_u64().unwrap())).collect();
        assert_eq!((executions["completed"], executions["failed"], executions["running"]), (1, 1, 1));
        assert_eq!((executions["pending"], executions["cancelled"]), (0, 0));
        assert_eq!(stats["tasks"]["default"]["failed"], 1);
        assert_eq!((&stats["dead_letters"], &stats["workers"]), (&json!(1), &json!(0)));
        let stats = world.ok(&["stats"]).out;
        assert!(stats.contains("dead letters  1") && stats.contains("completed   1"), "{stats}");
    });
}

#[test]
fn stats_count_every_state_and_more_than_a_list_of_ten_thousand_shows() {
    on_both(|world| {
        world.orders(&[250, 13, 7]);
        let many = world.client.spawn_all::<Order>(vec![250; 10_002]);
        let many = world.runtime.block_on(many).unwrap();
        world.ok(&["cancel", &many[0].task_id.to_string()]);

        let stats = world.ok(&["stats", "--json"]).json();
        let executions = json!({
            "pending": 10_001, "running": 1, "completed": 1, "failed": 1, "timed_out": 0, "cancelling": 0, "cancelled": 1,
        });
        assert_eq!(stats["executions"], executions);
        let tasks = json!({
            "pending": 10_001, "running": 0, "suspended": 1, "completed": 1, "failed": 1, "timed_out": 0, "cancelled": 1,
        });
        assert_eq!(stats["tasks"], json!({ "default": tasks }));
        let stats = world.ok(&["stats"]).out;
        let said = |word: &str, count: &str| stats.lines().any(|line| line.split_whitespace().eq([word, count]));
        assert!(said("pending", "10001") && said("cancelled", "1") && said("timed_out", "0"), "{stats}");
    });
}

#[test]
fn a_signal_reaches_an_execution_and_a_cancel_ends_it() {
    on_both(|world| {
        let ids = world.orders(&[7, 7]);
        let [signalled, cancelled] = [0, 1].map(|at| ids[at].to_string());
        let said = world.ok(&["signal", &signalled, "go", "{\"by\": \"ann\"}"]).out;
        assert_eq!(said, format!("gave the signal go to {signalled}\n"));
        world.runtime.block_on(async {
            let worker = world.client.start_worker(WorkerOptions::default()).await;
            let report = world.client.wait_for(ids[0], None).await.unwrap();
            assert_eq!(report.status, TaskStatus::Completed);
            worker.shutdown().await;
        });
        assert_eq!(world.ok(&["cancel", "--json", &cancelled]).json(), json!({ "cancelled": cancelled }));
        assert_eq!(world.status(ids[1]), TaskStatus::Cancelled);
        world.refused(&["cancel", &cancelled], 4, "has already ended: it is cancelled");
        world.refused(&["signal", &signalled, "go"], 4, "has already ended: it is completed");
    });
}

#[test]
fn dead_letters_are_listed_shown_replayed_discarded_moved_and_cleaned() {
    on_both(|world| {
        assert_eq!(world.ok(&["dlq", "list"]).out, "no dead letters\n");
        let ids = world.orders(&[13, 13, 7]);
        let [replayed, discarded, moved] = [0, 1, 2].map(|at| ids[at].to_string());
        assert_eq!(world.ok(&["dlq", "count"]).out, "2\n");
        assert_eq!(world.ok(&["dlq", "count", "--json"]).json(), json!({ "dead_letters": 2 }));
        let list = world.ok(&["dlq", "list", "--json"]).json();
        assert_eq!(list.as_array().unwrap().len(), 2);
        assert_eq!((&list[0]["task"], &list[0]["through_root"]), (&json!(discarded), &json!(false)));
        let shown = world.ok(&["dlq", "show", &replayed]).out;
        assert!(shown.contains("arguments  13") && shown.contains("replayed   by itself"), "{shown}");

        let said = world.ok(&["dlq", "replay", &replayed, "--queue", "repairs", "--json"]).json();
        assert!(said["run"].is_string(), "{said}");
        assert_eq!(world.status(ids[0]), TaskStatus::Pending);
        let task = &world.ok(&["tasks", "--json", &replayed]).json()[0];
        assert_eq!((&task["queue"], &task["attempt"]), (&json!("repairs"), &json!(1)));
        world.refused(&["dlq", "replay", &replayed], 3, "there is no dead letter of the task");

        world.ok(&["dlq", "discard", &discarded]);
        world.refused(&["dlq", "discard", &discarded], 3, "there is no dead letter of the task");
        world.refused(&["dlq", "show", &discarded], 3, "there is no dead letter of the task");
        assert_eq!(world.status(ids[1]), TaskStatus::Failed);

        world.ok(&["dlq", "move", &moved, "--reason", "it blocks the queue"]);
        assert_eq!(world.status(ids[2]), TaskStatus::Failed);
        assert!(world.ok(&["dlq", "list"]).out.contains("it blocks the queue"));
        world.refused(&["dlq", "move", &moved, "--reason", "again"], 4, "has already ended: it is failed");

        assert_eq!(world.ok(&["dlq", "cleanup", "--older-than", "1h"]).out, "deleted 0 dead letters\n");
        assert_eq!(world.ok(&["dlq", "cleanup", "--older-than", "0s"]).out, "deleted 1 dead letters\n");
        assert_eq!(world.ok(&["dlq", "count"]).out, "0\n");
    });
}

#[test]
fn schedules_are_listed_paused_resumed_run_and_deleted() {
    on_both(|world| {
        assert_eq!(world.ok(&["schedules", "list"]).out, "no schedules\n");
        let set = world.client.schedule_task::<Order>("nightly", "30 2 * * *", 250).time_zone("Europe/Berlin");
        world.runtime.block_on(async { set.await.unwrap() });
        let list = world.ok(&["schedules", "list"]).out;
        assert!(list.starts_with("NAME ") && list.contains("30 2 * * *") && list.contains("Europe/Berlin"), "{list}");
        let entry = |world: &World| world.ok(&["schedules", "list", "--json"]).json()[0].clone();
        let before = entry(world);
        assert_eq!((&before["name"], &before["function"]), (&json!("nightly"), &json!("shop:order")));
        assert_eq!((&before["missed"], &before["paused"]), (&json!("one"), &json!(false)));
        assert!(before["next_tick"].as_str().unwrap().ends_with(":30:00Z"), "{before}");
        assert_eq!((&before["last_tick"], &before["last_execution"]), (&Value::Null, &Value::Null));

        let paused = world.ok(&["schedules", "pause", "nightly", "--json"]).json();
        assert_eq!(paused, json!({ "schedule": "nightly", "paused": true, "changed": true }));
        assert_eq!(world.ok(&["schedules", "pause", "nightly"]).out, "the schedule nightly rested already\n");
        assert_eq!((&entry(world)["paused"], &entry(world)["next_tick"]), (&json!(true), &Value::Null));
        let started = world.ok(&["schedules", "run", "nightly", "--json"]).json();
        let shown = world.ok(&["list", "--json"]).json();
        assert_eq!((&shown[0]["id"], &shown[0]["function"]), (&started["execution"], &json!("shop:order")));
        let resumed = world.ok(&["schedules", "resume", "nightly"]).out;
        assert!(resumed.starts_with("the schedule nightly goes on, next 2"), "{resumed}");
        assert_eq!(entry(world), before);

        assert_eq!(world.ok(&["schedules", "delete", "nightly"]).out, "the schedule nightly is deleted\n");
        for what in ["pause", "resume", "run", "delete"] {
            world.refused(&["schedules", what, "nightly"], 3, "there is no schedule nightly in this database");
        }
        assert_eq!(world.ok(&["schedules", "list", "--json"]).json(), json!([]));
    });
}

#[test]
fn cleanup_deletes_what_ended_long_ago_and_nothing_else() {
    on_both(|world| {
        let ids = world.orders(&[250, 13, 7]);
        assert_eq!(world.ok(&["cleanup", "--older-than", "1h30m"]).out, "deleted 0 executions and 0 dead letters\n");
        let said = world.ok(&["cleanup", "--older-than", "0s", "--json"]).json();
        assert_eq!(said, json!({ "executions": 2, "dead_letters": 1 }));
        world.refused(&["show", &ids[0].to_string()], 3, "there is no execution");
        let left = world.ok(&["list", "--json"]).json();
        assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(ids[2].to_string())));
    });
}

#[test]
fn an_unknown_id_is_said_to_be_unknown() {
    on_both(|world| {
        let nobody = "019a0000-0000-7000-8000-000000000000";
        for arguments in [&["show", nobody][..], &["tasks", nobody], &["cancel", nobody], &["signal", nobody, "go"]] {
            world.refused(arguments, 3, &format!("there is no execution {nobody} in this database"));
        }
        world.refused(&["dlq", "replay", nobody], 3, "there is no dead letter of the task");
    });
}

#[test]
fn bad_arguments_are_named_with_what_to_write_instead() {
    let file = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", file.path().join("none.db").display());
    for (arguments, words) in [
        (&["show", "42"][..], "an id has 32 hexadecimal digits, as `stent list` shows it"),
        (&["list", "--state", "done"], "a state is one of pending, running, completed"),
        (&["cleanup", "--older-than", "3x"], "is no duration"),
        (&["cleanup"], "--older-than"),
        (&["list", "--queue", " q"], "must not begin or end with a blank"),
        (&["signal", "019a0000-0000-7000-8000-000000000000", "go", "{"], "not JSON"),
        (&["dlq"], "Usage"),
    ] {
        let said = stent_at(&url, arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
    // Nothing was opened for any of it.
    assert_eq!(std::fs::read_dir(file.path()).unwrap().count(), 0);
}

#[test]
fn a_command_never_creates_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("typo.db").display());
    let said = stent_at(&url, &["list"]);
    assert_eq!((said.code, said.out.as_str()), (5, ""));
    assert!(said.err.contains("there is no database") && said.err.contains("typo.db"), "{}", said.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");

    // A file of somebody else's stays as it is.
    let theirs = folder.path().join("theirs.db");
    std::fs::write(&theirs, "").unwrap();
    let said = stent_at(&format!("sqlite://{}", theirs.display()), &["stats"]);
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(said.err.contains("has no tables of Stent's"), "{}", said.err);
    assert_eq!(std::fs::metadata(&theirs).unwrap().len(), 0);

    let database = Server::shared().database().unwrap();
    let said = stent_at(&database.url(), &["list"]);
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(said.err.contains("has no tables of Stent's"), "{}", said.err);
    assert_eq!(database.psql("SELECT count(*) FROM pg_class WHERE relname = 'executions'").unwrap().trim(), "0");

    let said = stent_at("mysql://ann:s3cret@db/app", &["list"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("postgres://HOST/DATABASE") && !said.err.contains("s3cret"), "{}", said.err);
    assert_eq!(stent_at("sqlite::memory:", &["list"]).code, 5);
}

#[test]
fn the_database_is_that_of_the_option_then_of_the_environment_then_the_file_beside() {
    let folder = tempfile::tempdir().unwrap();
    let missing = said(&command(&["list"]).current_dir(folder.path()).output().unwrap());
    assert_eq!(missing.code, 5);
    assert!(missing.err.contains("there is no database stent.db"), "{}", missing.err);
    let world = World::new(Place::File(folder));
    world.orders(&[250]);
    let Place::File(folder) = &world.place else { unreachable!() };
    let beside = said(&command(&["list", "--json"]).current_dir(folder.path()).output().unwrap());
    assert_eq!(beside.json().as_array().unwrap().len(), 1);
    let mut named = command(&["list", "--json"]);
    named.env("DURABLE_DATABASE_URL", url(&world.place));
    assert_eq!(said(&named.output().unwrap()).json().as_array().unwrap().len(), 1);
    let mut other = command(&["list", "--db", "sqlite://other.db"]);
    other.env("DURABLE_DATABASE_URL", url(&world.place)).current_dir(folder.path());
    assert_eq!(said(&other.output().unwrap()).code, 5);
}

#[test]
fn a_command_leaves_no_connection_committer_or_log_behind_whatever_it_came_to() {
    let nobody = "019a0000-0000-7000-8000-000000000000";
    let world = World::new(Place::Server(Server::shared().database().unwrap()));
    let ids = world.orders(&[7]);
    let Place::Server(database) = &world.place else { unreachable!() };
    world.runtime.block_on(world.client.close()).unwrap();
    let count = |sql: &str| database.psql(sql).unwrap().trim().parse::<u64>().unwrap();
    let connections = || {
        count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    };
    // Those of this test's own, which end with its client.
    let (others, id) = (connections(), ids[0].to_string());
    for (arguments, code) in [(&["cancel", id.as_str()][..], 0), (&["cancel", &id], 4), (&["cancel", nobody], 3)] {
        assert_eq!(world.stent(arguments).code, code);
        // A process that only died would leave its committers' rows.
        assert_eq!(count("SELECT count(*) FROM committers"), 0, "{arguments:?}");
        while connections() > others {
            std::thread::yield_now();
        }
    }

    let world = World::new(Place::File(tempfile::tempdir().unwrap()));
    let ids = world.orders(&[7]);
    world.runtime.block_on(world.client.close()).unwrap();
    let Place::File(folder) = &world.place else { unreachable!() };
    let id = ids[0].to_string();
    for (arguments, code) in [(&["cancel", id.as_str()][..], 0), (&["cancel", &id], 4), (&["cancel", nobody], 3)] {
        assert_eq!(world.stent(arguments).code, code);
        let log = std::fs::metadata(folder.path().join("stent.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "{arguments:?}: what was written is in the file");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = Arc::new(World::new(Place::File(tempfile::tempdir().unwrap())));
    world.orders(&[250]);
    let mut child =
        command(&["--db", &url(&world.place), "list"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_a_command_cannot_use_is_named_with_the_rule() {
    let nobody = "019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b";
    on_both(|world| {
        for (arguments, code, words) in [
            (&["show", "12"][..], 2, &["'12'", "an id has 32 hexadecimal digits"][..]),
            (&["show", nobody], 3, &["there is no", nobody]),
            (&["cancel", nobody], 3, &["there is no", nobody]),
            (&["list", "--state", "done"], 2, &["'done'", "a state is one of", "completed"]),
            (&["list", "--queue", " q"], 2, &["' q'", "must not begin or end with a blank"]),
            (&["cleanup", "--older-than", "7 days"], 2, &["'7 days'", "at character 2", "a unit is expected"]),
            (&["signal", nobody, "", "1"], 2, &["signal name \"\"", "must not be empty"]),
            (&["schedules", "pause", "none"], 3, &["there is no schedule", "none"]),
            (&["schedules", "run", "a\n"], 2, &["schedule name \"a\\n\"", "control characters"]),
        ] {
            words.iter().for_each(|words| world.refused(arguments, code, words));
        }
    });
    for (address, words) in [
        ("mysql://ann:s3cret@db/app", &["\"mysql:\"", "postgres://HOST/DATABASE or sqlite://FILE"][..]),
        ("s3cret", &["names no kind of database", "postgres://HOST/DATABASE or sqlite://FILE"]),
    ] {
        let said = stent_at(address, &["list"]);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(words.iter().all(|words| said.err.contains(words)) && !said.err.contains("s3cret"), "{}", said.err);
    }
}
