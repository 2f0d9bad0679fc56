//! Scenarios 13 to 17, 19 and 20: a task has one owner at a time, whatever freezes, dies, restarts or shows the wrong
//! time. What is about processes runs real ones; the model lives inside one process, so it has none of those. What only a
//! server can suffer is in `servers`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stent_core::command::{Effect, Number};
use stent_core::{Command, Done, ExecutionState, FailureKind, Refusal, TaskRef, TaskState};
use stent_engine::{Engine, WorkerConfig};

use crate::kit::code::said;
use crate::kit::hands::{claimed, commit, effect, finish, step};
use crate::kit::process::{Process, Role, go_on, ledger, says};
use crate::kit::wire::{Fate, Wire};
use crate::kit::world::{Client, config};
use crate::kit::{Functions, Gates, Hands, Ledger, Run, World, eventually, name, payload, request, spec};

on_all_stores!(
    a_step_of_an_earlier_epoch_is_refused_or_seen_by_the_claim,
    adds_and_claims_of_a_batch_whose_reply_was_lost_happen_once,
    a_batch_that_is_asked_again_is_not_carried_out_again,
    a_worker_that_uses_a_living_ones_label_takes_none_of_its_tasks,
    the_tasks_of_a_worker_whose_runtime_is_dropped_move_and_its_neighbours_do_not,
    a_clock_that_jumps_takes_no_task_and_makes_no_timer_early_or_frozen,
    a_silent_session_is_taken_over_whatever_the_clock_says,
    a_task_with_one_attempt_survives_three_deploys,
    a_task_under_which_every_worker_dies_is_put_away_and_its_neighbours_are_not,
    tasks_that_lost_two_workers_wait_for_each_other_only_until_they_have_something_new,
    code_that_is_put_aside_has_ended_before_anybody_may_go_on_with_its_task,
);

on_all_databases!(
    a_process_stopped_in_user_code_writes_nothing_after_it_was_taken_over,
    the_tasks_of_a_killed_process_move_at_once_to_one_of_the_same_label,
    a_killed_workers_children_keep_nothing_alive,
    a_task_that_kills_its_process_is_put_away_and_its_neighbours_are_not,
);

on!(sqlite_holder, sqlite_processes: a_process_stopped_inside_a_transaction_blocks_the_others_within_a_limit);

/// Scenario 13: A step's transaction began under an epoch; a claim commits the next epoch and reads the history; the
/// step's commit is refused, or the claim waited and sees it. In both orders, and racing.
async fn a_step_of_an_earlier_epoch_is_refused_or_seen_by_the_claim(world: World) {
    let (here, there) = (world.store(), world.store());
    for round in 0..60 {
        let (old, new) = (Hands::over(Arc::clone(&here)).await, Hands::over(Arc::clone(&there)).await);
        old.start("works").await;
        let lease = old.claim_one("works").await;
        let writes = async || old.one(step(lease, 1, "charge")).await;
        let takes = async || {
            new.take_over(old.session).await;
            // On a server a claim passes by a task whose row a refused write is just looking at; it looks again.
            let taken = loop {
                if let [task] = &new.claim(&["works"]).await[..] {
                    break task.lease;
                }
            };
            assert_eq!(taken.epoch, lease.epoch + 1);
            (taken, new.store.history(taken.task, 0).await.unwrap().records.len())
        };
        let (wrote, (taken, seen)) = match round {
            0 => {
                let wrote = writes().await;
                (wrote, takes().await)
            }
            1 => {
                let taken = takes().await;
                (writes().await, taken)
            }
            _ => {
                // Both at once, each on a thread of its own: a commit blocks the one it runs on.
                let (writer, lease) = (old.clone(), lease);
                let write = tokio::spawn(async move { writer.one(step(lease, 1, "charge")).await });
                let taken = takes().await;
                (write.await.unwrap(), taken)
            }
        };
        match wrote {
            Ok(Done::Recorded(_)) => {
                assert_eq!(seen, 1, "round {round}: a step was committed that the claim did not see");
            }
            Err(Refusal::LeaseLost) => assert_eq!(seen, 0, "round {round}: a refused step was seen"),
            other => panic!("{other:?}"),
        }
        assert_eq!(new.store.history(taken.task, 0).await.unwrap().records.len(), seen, "it came after the claim");
        assert_eq!(old.one(step(lease, 2, "late")).await, Err(Refusal::LeaseLost));
        new.one(finish(taken)).await.unwrap();
    }
}

/// Scenario 15: The reply of a COMMIT is lost: it was carried out, or not, or is carried out later, after others took
/// the tasks over. Counter adds and claims in that batch happen once.
async fn adds_and_claims_of_a_batch_whose_reply_was_lost_happen_once(world: World) {
    for fate in [Fate::ReplyLost, Fate::Lost, Fate::Late] {
        let (ledger, gates) = (Ledger::default(), Gates::default());
        let functions = Functions::new(&ledger, &gates)
            .with("adds", |run: Run| async move {
                run.gated("park").await?;
                let added = run.effect("add", Effect::AddCounter(name("sum"), Number::Whole(1))).await?;
                run.note("added");
                Ok(added.payload.read::<i64>().unwrap_or_default().to_string())
            })
            .with("claimed", |run: Run| async move { Ok(run.step("claimed").await?) });
        let wire = Arc::new(Wire::over(world.store()));
        let first = World::engine_over(wire.clone());
        let worker = first.start_worker(config(), Arc::new(functions.clone())).await.unwrap();
        let client = world.engine();
        let id = client.begin("adds", "").await;
        ledger.reaches("park", 1).await;
        wire.doom(fate, |batch| {
            batch.iter().any(|command| matches!(command, Command::Append(append) if append.effect.is_some()))
        });
        let claimed = client.begin("claimed", "").await;
        gates.open("park");
        let cut = wire.cut.acquire().await.unwrap();
        drop(worker);
        // The rest of the process dies with its worker; only the batch that is on its way may still arrive.
        let _second = world.worker(functions).await;
        assert_eq!(client.result(id).await, "1", "{fate:?}");
        assert_eq!(client.result(claimed).await, "claimed");
        if fate == Fate::Late {
            let kept = wire.kept();
            let late = commit(&**client.store(), kept.clone()).unwrap();
            // A sweep of the worker's may be in the batch too: it is anybody's, and finds nothing.
            let of_tasks =
                |command: &Command| matches!(command, Command::Append(_) | Command::Finish(_) | Command::Claim(_));
            let outcomes: Vec<_> = kept.iter().zip(late.outcomes).filter(|(command, _)| of_tasks(command)).collect();
            assert!(!outcomes.is_empty() && outcomes.iter().all(|(_, outcome)| outcome.is_err()), "{outcomes:?}");
        }
        assert_eq!(client.store().baggage(id).await.unwrap().counters, [(name("sum"), Number::Whole(1))], "{fate:?}");
        // The other task's step may have been in flight in the very batch; it is recorded once.
        assert_eq!(ledger.count("added"), 1, "{fate:?}");
        assert_eq!(client.past(TaskRef::root(claimed)).await.records.len(), 1, "{fate:?}");
        drop(cut);
    }
}

/// Scenario 15: Somebody who does not know what became of a batch asks it again, in one batch and command by command:
/// adds and claims happen once.
async fn a_batch_that_is_asked_again_is_not_carried_out_again(world: World) {
    let hands = Hands::on(&world).await;
    let id = hands.start("adds").await;
    let lease = hands.claim_one("adds").await;
    let others: Vec<_> = [hands.start("other").await, hands.start("other").await].into();
    let add = effect(lease, 1, "add", Effect::AddCounter(name("sum"), Number::Whole(5)));
    let batch = vec![add, hands.claim_command(&["other"], 1)];
    let mut first = hands.batch(batch.clone()).await;
    let taken = claimed(first.remove(1));
    assert_eq!(taken[0].lease.task.execution, others[0]);
    let mut again = hands.batch(batch.clone()).await;
    assert_eq!(again[0], Err(Refusal::Exists));
    assert_eq!(claimed(again.remove(1))[0].lease.task.execution, others[1], "a claimed task was claimed again");
    assert_eq!(hands.one(batch[0].clone()).await, Err(Refusal::Exists));
    assert!(claimed(hands.one(batch[1].clone()).await).is_empty());
    assert_eq!(hands.store.baggage(id).await.unwrap().counters, [(name("sum"), Number::Whole(5))]);
    for other in others {
        assert_eq!(hands.store.task(TaskRef::root(other)).await.unwrap().unwrap().epoch, 1);
    }
}

/// Is up until it is dropped, as whatever else a task's code holds.
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn up(flag: &Arc<AtomicBool>) -> Self {
        flag.store(true, Ordering::Release);
        Self(Arc::clone(flag))
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What code holds is let go while the task is still its worker's. Something that comes at that very moment is no less
/// delivered.
async fn code_that_is_put_aside_has_ended_before_anybody_may_go_on_with_its_task(world: World) {
    let inside = Arc::new(AtomicBool::new(false));
    let functions = Functions::new(&Ledger::default(), &Gates::default()).with("waits", {
        let inside = Arc::clone(&inside);
        move |run: Run| {
            let inside = Arc::clone(&inside);
            async move {
                let _held = Flag::up(&inside);
                Ok(said(&run.signal("go", None).await?))
            }
        }
    });
    let (wire, suspensions) = (Arc::new(Wire::over(world.store())), Arc::new(Mutex::new(Vec::new())));
    wire.doom(Fate::Lost, {
        let suspensions = Arc::clone(&suspensions);
        move |batch| {
            if batch.iter().any(|command| matches!(command, Command::Suspend(_))) {
                suspensions.lock().unwrap().push(inside.load(Ordering::Acquire));
            }
            false
        }
    });
    let at_once = WorkerConfig { park_for: Duration::ZERO, ..config() };
    let _worker = World::engine_over(wire).start_worker(at_once, Arc::new(functions)).await.unwrap();
    let client = world.engine();
    let id = client.begin("waits", "").await;
    eventually("it is suspended", || async { client.root(id).await.state == TaskState::Suspended }).await;
    assert_eq!(*suspensions.lock().unwrap(), [false], "code was there while others might have its task");
    client.signal(id, name("go"), payload("on")).await.unwrap();
    assert_eq!(client.result(id).await, "on");
}

fn labelled(label: &str) -> WorkerConfig {
    WorkerConfig { worker_id: label.into(), ..config() }
}

/// Scenario 16: A restarted process re-uses its `worker_id` while the old one still lives: the old one's tasks are not
/// taken for its own.
async fn a_worker_that_uses_a_living_ones_label_takes_none_of_its_tasks(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions =
        Functions::new(&ledger, &gates).with("works", |run: Run| async move { Ok(run.gated("work").await?) });
    let client = world.engine();
    let old = world.worker_with(functions.clone(), labelled("one")).await;
    let id = client.begin("works", "old").await;
    ledger.reaches("old:work", 1).await;
    let others =
        functions.clone().with("looks", |run: Run| async move { Ok(run.nap(1_300).await.map(|_| String::new())?) });
    let new = world.worker_with(others, labelled("one")).await;
    assert_ne!(old.session(), new.session());
    // Long enough for several looks for the dead.
    let looked = client.begin("looks", "").await;
    client.result(looked).await;
    let root = client.root(id).await;
    assert_eq!((root.session, root.epoch, root.losses), (Some(old.session()), 1, 0));
    gates.open("work");
    assert_eq!(client.result(id).await, "work");
    assert_eq!(ledger.all(), ["old:work"]);
}

/// Scenario 17: One process holds two workers on one database; one dies (its runtime is dropped): its tasks move, the
/// other's do not.
async fn the_tasks_of_a_worker_whose_runtime_is_dropped_move_and_its_neighbours_do_not(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("dies", |run: Run| async move { Ok(run.gated("dies").await?) })
        .with("stays", |run: Run| async move { Ok(run.gated("stays").await?) });
    // Silence would tell only after a minute: what tells is that its presence ends.
    let patient = Duration::from_secs(60);
    let only = |queue: &str| WorkerConfig { queues: Some(vec![name(queue)]), worker_timeout: patient, ..config() };
    let on = |queue: &str, function: &str| {
        let mut spec = spec(function, "");
        spec.queue = name(queue);
        request(spec)
    };
    // Both on the same handle of the store: one process.
    let store = world.store();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (host, config) = (functions.clone(), only("dying"));
    let dying = {
        let store = Arc::clone(&store);
        runtime.spawn(async move { World::engine_over(store).start_worker(config, Arc::new(host)).await.unwrap() })
    };
    let dying = dying.await.unwrap();
    let engine: Engine = World::engine_over(store);
    let staying = engine.start_worker(only("staying"), Arc::new(functions.clone())).await.unwrap();
    let client = world.engine();
    let moves = client.start(on("dying", "dies")).await.unwrap().execution;
    let stays = client.start(on("staying", "stays")).await.unwrap().execution;
    ledger.reaches("dies", 1).await;
    ledger.reaches("stays", 1).await;
    let since = Instant::now();
    runtime.shutdown_background();
    let taker = world.worker_with(functions, only("dying")).await;
    ledger.reaches("dies", 2).await;
    assert!(since.elapsed() < patient / 4, "a dead runtime was noticed only after {:?}", since.elapsed());
    let (moved, stayed) = (client.root(moves).await, client.root(stays).await);
    assert_eq!((moved.session, moved.epoch, moved.losses), (Some(taker.session()), 2, 1));
    assert_eq!((stayed.session, stayed.epoch, stayed.losses), (Some(staying.session()), 1, 0));
    gates.open("dies");
    gates.open("stays");
    assert_eq!(client.result(moves).await, "dies");
    assert_eq!(client.result(stays).await, "stays");
    assert_eq!(ledger.count("stays"), 1);
    drop(dying);
}

const HOUR_MS: i64 = 3_600_000;

/// Scenario 19: The clock jumps an hour back, then forward: no living worker's tasks are taken, no timer fires early,
/// none is frozen.
async fn a_clock_that_jumps_takes_no_task_and_makes_no_timer_early_or_frozen(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("works", |run: Run| async move { Ok(run.gated("work").await?) })
        .with("sleeps", |run: Run| async move {
            let due = run.now();
            run.nap(run.args.parse().unwrap()).await?;
            Ok(run.now().since(due).as_millis().to_string())
        })
        .with("passes", |run: Run| async move { Ok(run.nap(10).await.map(|_| "passed".to_owned())?) });
    let client = world.engine();
    let (one, _other) = (world.worker(functions.clone()).await, world.worker(functions).await);
    let works = client.begin("works", "").await;
    ledger.reaches("work", 1).await;
    let late = client.begin("sleeps", "1800000").await;
    let (soon, asked) = (client.begin("sleeps", "3000").await, Instant::now());
    for id in [soon, late] {
        let waits = || async { !client.past(TaskRef::root(id)).await.open.is_empty() };
        eventually("it sleeps", waits).await;
    }
    let owner = client.root(works).await.session;
    world.clock.set_offset_ms(-HOUR_MS);
    // Everything that is asked now goes by the clock as it is now.
    assert_eq!(client.result(client.begin("passes", "").await).await, "passed");
    // Real time beyond the due time of the short sleep, by the boot clock; the store's clock is an hour before it.
    tokio::time::sleep(Duration::from_millis(3_500).saturating_sub(asked.elapsed())).await;
    for id in [soon, late] {
        assert!(!client.root(id).await.state.is_terminal(), "a timer fired before the store's clock showed its time");
    }
    world.clock.set_offset_ms(0);
    let slept: u64 = client.result(soon).await.parse().unwrap();
    assert!(slept >= 3_000, "{slept}");
    world.clock.set_offset_ms(HOUR_MS);
    let since = Instant::now();
    let slept: u64 = client.result(late).await.parse().unwrap();
    assert!(slept >= 1_800_000, "{slept}");
    // One that went by the clock of before would come in half an hour.
    assert!(since.elapsed() < Duration::from_secs(15), "the timer froze for {:?}", since.elapsed());
    assert_eq!(client.result(client.begin("passes", "").await).await, "passed");
    let root = client.root(works).await;
    assert_eq!((root.session, root.epoch, root.losses), (owner, 1, 0), "a living worker's task was taken");
    assert_eq!(client.store().sessions().await.unwrap().len(), 2);
    gates.open("work");
    assert_eq!(client.result(works).await, "work");
    drop(one);
}

/// Scenario 19: A session that falls silent is taken over after its time whatever the clock says: none is immortal.
async fn a_silent_session_is_taken_over_whatever_the_clock_says(world: World) {
    for offset in [-HOUR_MS, HOUR_MS] {
        let silent = Hands::on(&world).await;
        let living = Hands::on(&world).await;
        silent.start("works").await;
        silent.claim_one("works").await;
        world.clock.set_offset_ms(offset);
        // Less than the clock jumped, and more than this takes on any machine.
        let quarter = Duration::from_secs(15 * 60);
        assert!(silent.store.gone_sessions(quarter).await.unwrap().is_empty(), "{offset}: taken for dead at once");
        // As long as no machine takes from the living one's beat to the look behind it.
        let timeout = Duration::from_millis(1_500);
        // Present in this very process, but silent: only its beats tell.
        let mut gone = Vec::new();
        while gone.is_empty() {
            living.one(Command::Beat(living.session)).await.unwrap();
            gone = living.store.gone_sessions(timeout).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(gone, [silent.session]);
        living.take_over(silent.session).await;
        let lease = living.claim_one("works").await;
        living.one(finish(lease)).await.unwrap();
        living.one(Command::CloseSession(living.session)).await.unwrap();
        world.clock.set_offset_ms(0);
    }
}

/// Scenario 20: A task with `max_attempts = 1` survives three deploys.
async fn a_task_with_one_attempt_survives_three_deploys(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("works", |run: Run| async move {
        let first = run.step("first").await?;
        Ok(first + &run.gated("work").await?)
    });
    let hasty = || WorkerConfig { drain_grace: Duration::from_millis(10), ..config() };
    let client = world.engine();
    let mut id = None;
    for deploy in 1..=3 {
        let worker = world.worker_with(functions.clone(), hasty()).await;
        if id.is_none() {
            id = Some(client.begin("works", "").await);
        }
        ledger.reaches("work", deploy).await;
        worker.shutdown().await;
    }
    gates.open("work");
    let _last = world.worker(functions).await;
    let id = id.unwrap();
    assert_eq!(client.result(id).await, "firstwork");
    let root = client.root(id).await;
    assert_eq!((root.attempt, root.losses, root.run), (1, 0, 1));
    assert_eq!(ledger.count("first"), 1);
}

/// Tasks that were under way when two workers died in a row run one at a time, by name. One that has recorded something
/// new is none of them any more: the next one goes on beside it.
async fn tasks_that_lost_two_workers_wait_for_each_other_only_until_they_have_something_new(world: World) {
    const TASKS: usize = 5;
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("long", |run: Run| async move {
        run.gated("first").await?;
        Ok(run.gated("second").await?)
    });
    let client = world.engine();
    let mut all = Vec::new();
    for _ in 0..TASKS {
        all.push(client.begin("long", "").await);
    }
    for death in 1..=2 {
        let worker = world.worker(functions.clone()).await;
        ledger.reaches("first", death * TASKS).await;
        drop(worker);
    }
    gates.open("first");
    let _worker = world.worker(functions).await;
    ledger.reaches("second", TASKS).await;
    gates.open("second");
    for id in all {
        assert_eq!(client.result(id).await, "second");
        assert_eq!(client.root(id).await.attempt, 1);
    }
}

/// Scenario 20: A task under which every worker dies ends as a dead letter; none of its 99 neighbours does. Here a
/// worker's death is its being dropped; the same with real processes is below.
async fn a_task_under_which_every_worker_dies_is_put_away_and_its_neighbours_are_not(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("poison", |run: Run| async move {
            run.ledger.add("poison");
            std::future::pending().await
        })
        .with("good", |run: Run| async move {
            // Some work, so that all of them are there when the worker dies.
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(run.step("good").await?)
        });
    let client = world.engine();
    let mut good = Vec::new();
    let poison = client.begin("poison", "").await;
    for number in 0..99 {
        good.push(client.begin("good", &number.to_string()).await);
    }
    for death in 1.. {
        let worker = world.worker(functions.clone()).await;
        let dies = ledger.reaches("poison", death);
        let ended = client.wait(poison, None);
        tokio::select! {
            () = dies => drop(worker),
            ended = ended => {
                let failure = ended.unwrap().failure.unwrap();
                assert_eq!(failure.kind, FailureKind::Lost, "{failure}");
                for id in &good {
                    assert_eq!(client.result(*id).await, "good");
                }
                break;
            }
        }
    }
    assert_eq!(ledger.count("poison"), 5);
    let letters = client.store().letters(1_000).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.task).collect::<Vec<_>>(), [TaskRef::root(poison)]);
    for id in good {
        assert_eq!(client.root(id).await.attempt, 1);
    }
}

/// Plays the role that this process was started for; without one there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_plays_its_role() {
    let Some(role) = Role::mine() else { return };
    let world = World::of(&role);
    match role.name.as_str() {
        "worker" => plays_worker(&world, Arc::new(role), Duration::from_secs(2)).await,
        "patient worker" => plays_worker(&world, Arc::new(role), PATIENT).await,
        "holder" => plays_holder(&role),
        "neighbour" => crate::batches::plays_neighbour(&world, &role).await,
        other => panic!("nobody knows the role {other}"),
    }
}

/// A time after which silence tells of a death that is longer than any of these scenarios: what tells is the store.
const PATIENT: Duration = Duration::from_secs(600);

/// A worker whose code does as its function's name says, until it is killed.
async fn plays_worker(world: &World, role: Arc<Role>, worker_timeout: Duration) {
    let with = |code: fn(&Role)| {
        let role = Arc::clone(&role);
        move |run: Run| {
            let role = Arc::clone(&role);
            async move {
                role.note(&format!("{} by {}", run.entry("work"), role.label));
                code(&role);
                let done = run.step("done").await;
                role.say(if done.is_ok() { "finished" } else { "was stopped" });
                Ok(done?)
            }
        }
    };
    let functions = Functions::default()
        .with("works", with(|_| ()))
        .with(
            "freezes",
            with(|role| {
                role.say("in user code");
                // Whoever stops this process does so now; it goes on when it is told to.
                while !crate::kit::process::has_said(&role.file, "test", "go on") {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }),
        )
        .with(
            "forks",
            with(|role| {
                let kept = std::process::Command::new("sleep").arg("120").stdout(std::process::Stdio::null()).spawn();
                std::fs::write(role.file.with_file_name("grandchild"), kept.unwrap().id().to_string()).unwrap();
                role.say("forked");
                std::thread::sleep(Duration::from_secs(60));
            }),
        )
        .with("poison", with(|_| std::process::abort()))
        .with("good", with(|_| std::thread::sleep(Duration::from_millis(2))));
    let config = WorkerConfig { worker_timeout, ..labelled(&role.label) };
    let _worker = world.worker_with(functions, config).await;
    role.say("ready");
    std::future::pending::<()>().await;
}

/// Holds a transaction of its own on the database until it is killed or told to go on.
fn plays_holder(role: &Role) {
    let connection = rusqlite::Connection::open(&role.file).unwrap();
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS mine (x); BEGIN IMMEDIATE; INSERT INTO mine VALUES (1)")
        .unwrap();
    role.say("inside");
    while !crate::kit::process::has_said(&role.file, "test", "go on") {
        std::thread::sleep(Duration::from_millis(2));
    }
    connection.execute_batch("COMMIT").unwrap();
    role.say("committed");
}

fn impatient() -> WorkerConfig {
    WorkerConfig { worker_timeout: Duration::from_secs(2), ..config() }
}

/// Scenario 14: A worker frozen by SIGSTOP in user code wakes after its task was taken over: no row changes by it; the
/// taker was not blocked.
async fn a_process_stopped_in_user_code_writes_nothing_after_it_was_taken_over(world: World) {
    let client = world.engine();
    let frozen = Process::start("worker", &world, "frozen");
    let id = client.begin("freezes", "").await;
    says(world.path(), "frozen", "in user code").await;
    frozen.stop_between_writes(&world);
    let since = Instant::now();
    let ledger = Ledger::default();
    let functions = Functions::new(&ledger, &Gates::default())
        .with("freezes", |run: Run| async move { Ok(run.step("done").await? + " by the taker") });
    let _taker = world.worker_with(functions, impatient()).await;
    assert_eq!(client.result(id).await, "done by the taker");
    // It is still frozen: whoever waits for it waits until it is told to go on, below.
    assert!(since.elapsed() < Duration::from_secs(20), "the taker was blocked for {:?}", since.elapsed());
    let rows = || async { (client.tasks(id).await, client.past(TaskRef::root(id)).await) };
    let before = rows().await;
    frozen.signal("CONT");
    go_on(&world);
    says(world.path(), "frozen", "was stopped").await;
    assert_eq!(rows().await, before, "a frozen worker changed a row after it was taken over");
    assert_eq!(before.0[0].losses, 1);
    assert_eq!(ledger.count("done"), 1);
}

/// Scenario 14: A process frozen by SIGSTOP inside a transaction: on one file nobody can write past it, but everybody
/// who tries is told so within the limit (5 s), reads go on, and writing goes on as soon as it wakes or dies.
async fn a_process_stopped_inside_a_transaction_blocks_the_others_within_a_limit(world: World) {
    let client = world.engine();
    let first = client.begin("works", "first").await;
    let holder = Process::start("holder", &world, "holder");
    says(world.path(), "holder", "inside").await;
    holder.signal("STOP");
    let since = Instant::now();
    let refused = client.start(request(spec("works", "second"))).await;
    let waited = since.elapsed();
    // The holder stands still until it is told to go on, below: without a limit this would never come here.
    assert!(waited < Duration::from_secs(15), "the taker was blocked for {waited:?}");
    match refused {
        Err(stent_engine::EngineError::Store(error)) => assert!(error.is_transient(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.root(first).await.state, TaskState::Pending, "reads go on");
    let functions = Functions::default().with("works", |run: Run| async move { Ok(run.step("done").await?) });
    holder.signal("CONT");
    go_on(&world);
    says(world.path(), "holder", "committed").await;
    let _worker = world.worker(functions).await;
    assert_eq!(client.result(first).await, "done");
    assert_eq!(client.store().count_executions(None).await.unwrap(), 1, "a refused start is there");
}

/// Scenarios 16 and 17: A process is killed and restarted under the same `worker_id`: its tasks are taken over as those
/// of a dead one (a loss), long before its silence would tell, and not as the new one's own.
async fn the_tasks_of_a_killed_process_move_at_once_to_one_of_the_same_label(world: World) {
    let client = world.engine();
    let old = Process::start("patient worker", &world, "same");
    let id = client.begin("freezes", "").await;
    says(world.path(), "same", "in user code").await;
    let session = client.root(id).await.session;
    old.kill().await;
    go_on(&world);
    let since = Instant::now();
    let _new = Process::start("patient worker", &world, "same");
    assert_eq!(client.result(id).await, "done");
    assert!(since.elapsed() < Duration::from_secs(20), "a dead process was noticed only after {:?}", since.elapsed());
    let root = client.root(id).await;
    assert_eq!((root.epoch, root.losses, root.attempt), (2, 1, 1));
    let sessions = client.store().sessions().await.unwrap();
    assert!(sessions.iter().all(|open| Some(open.session) != session && open.worker_id == "same"), "{sessions:?}");
}

/// Scenario 17: A child process of a killed worker keeps nothing alive: it does not inherit the lock that shows its
/// presence. (A fork without exec needs unsafe code, which is forbidden here.)
async fn a_killed_workers_children_keep_nothing_alive(world: World) {
    let client = world.engine();
    let parent = Process::start("worker", &world, "parent");
    let id = client.begin("forks", "").await;
    says(world.path(), "parent", "forked").await;
    parent.kill().await;
    let grandchild = std::fs::read_to_string(world.path().with_file_name("grandchild")).unwrap();
    let since = Instant::now();
    // Its silence would tell only after ten minutes: what tells is the lock.
    let patient = WorkerConfig { worker_timeout: PATIENT, ..config() };
    let functions = Functions::default().with("forks", |run: Run| async move { Ok(run.step("done").await?) });
    let _taker = world.worker_with(functions, patient).await;
    assert_eq!(client.result(id).await, "done");
    assert!(since.elapsed() < Duration::from_secs(20), "noticed only after {:?}", since.elapsed());
    let lives = || std::process::Command::new("kill").args(["-0", &grandchild]).status().unwrap().success();
    assert!(lives(), "the grandchild was to outlive it");
    drop(std::process::Command::new("kill").arg(&grandchild).status());
}

/// Scenario 20: A task that kills its process every time ends as a dead letter; none of its 99 neighbours does.
async fn a_task_that_kills_its_process_is_put_away_and_its_neighbours_are_not(world: World) {
    let client = world.engine();
    let poison = client.begin("poison", "poison").await;
    let mut good = Vec::new();
    for number in 0..99 {
        good.push(client.begin("good", &format!("good {number}")).await);
    }
    let mut worker = Process::start("worker", &world, "victim");
    let mut deaths = 0;
    // In this order: what is claimed between the two looks is seen by the second.
    let all_ended = || async {
        client.store().count_executions(Some(ExecutionState::Pending)).await.unwrap() == 0
            && client.store().count_executions(Some(ExecutionState::Running)).await.unwrap() == 0
    };
    while !all_ended().await {
        if !worker.is_alive() {
            deaths += 1;
            worker = Process::start("worker", &world, "victim");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(deaths, 5);
    assert_eq!(client.ended(poison).await.failure.unwrap().kind, FailureKind::Lost);
    for id in good {
        assert_eq!(client.result(id).await, "done");
    }
    assert_eq!(client.store().letters(1_000).await.unwrap().len(), 1);
    assert_eq!(ledger(world.path()).iter().filter(|line| line.starts_with("poison")).count(), 5);
}
