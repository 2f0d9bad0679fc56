//! What may be asked of a run on the command line, and what follows from it for each store: how much work, at which
//! pace, held to which limits.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;

use crate::checker::Rules;
use crate::keys;
use crate::place::Place;
use crate::process::Program;
use crate::site::{Site, Through};
use crate::supervisor::{Order, Pace};
use crate::ticks;
use crate::workload::Shape;

/// How long a worker may be silent before others take its tasks, as workers have it by default.
const WORKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Executions for each kill, where their number is not left to the time there is.
const TASKS_PER_KILL: u32 = 50;

/// Keys for each kill.
const KEYS_PER_KILL: u32 = 20;

/// Executions of a run that is held to its time.
const TIMED_TASKS: u32 = 2_000;

/// Under way of a limited workload: enough that there is always one for a slot that is let go, and few enough that who
/// watches them costs little.
const LIMITED_IN_FLIGHT: u16 = 40;

/// What all calls of a limited function may take together, in hundredths of what their bodies take side by side.
const TIME_PERCENT: u32 = 111;

/// Kills of workers for each kill of the server.
const KILLS_PER_OUTAGE: u32 = 10;

/// Behind a pool a death shows by silence alone, and only to a worker that has itself been connected for that long: so
/// kills come more slowly there, and one worker is never killed.
const POOLED: Pace = Pace { stretch: 4, spared: 1 };
/// Where a server is killed as well, there must be time between its deaths in which the workers' deaths count.
const SERVED: Pace = Pace { stretch: 2, spared: 0 };
const ON_A_FILE: Pace = Pace { stretch: 1, spared: 0 };

#[derive(clap::Args)]
pub struct KillArgs {
    /// The store.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// The language of the workers.
    #[arg(long, value_enum, default_value_t = Face::Rust)]
    face: Face,
    /// The interpreter of workers in Python; it must find the package.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// What runs; by default mixed on a file and in Python, else five.
    #[arg(long, value_enum)]
    workload: Option<Workload>,
    /// How many kills of workers. Without any, a limited workload is held to its time.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How many kills of the server among them; by default one for ten.
    #[arg(long)]
    server_kills: Option<u32>,
    /// How workers reach the server.
    #[arg(long, value_enum, default_value_t = Through::Direct)]
    through: Through,
    /// Where all that is left to chance comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many executions in all; by default 50 for each kill on a server, and as many as there is time for on a file.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: Option<u32>,
    /// How many worker processes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    workers: u8,
    /// How many tasks a worker runs at the same time; by default 16 on a file, 64 on a server.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// How many executions are under way at most while there are kills; by default 24 on a file, 200 on a server.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: Option<u16>,
    /// How many call the same keys at the same time, in the workload `idempotent`.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    callers: u32,
    /// How many keys there are, in the workload `idempotent`; by default 20 for each kill.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keys: Option<u32>,
    /// Keep the store and the ledger after a clean run too.
    #[arg(long)]
    pub keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

/// What a run is about.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// 20 steps in three tasks, a sleep and an event from outside: every way of going on, in few executions.
    Mixed,
    /// Five steps in a row: thousands of them, so that a kill hits many at once.
    Five,
    /// Calls of a function of which only a few may be in at once.
    Limited,
    /// Many callers of the same keys: one result for each.
    Idempotent,
    /// Schedules that tick every second, with kills around the ticks: one execution for each.
    Ticks,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Face {
    Rust,
    Python,
}

impl KillArgs {
    /// What to do.
    pub fn order(&self) -> anyhow::Result<Order> {
        let is_file = self.store == Store::Sqlite;
        ensure!(!is_file || self.server_kills.unwrap_or(0) == 0, "a file has no server to kill");
        ensure!(!is_file || self.through == Through::Direct, "a file has no server to reach through anything");
        ensure!(self.kills > 0 || self.shape() == Shape::Limited, "only a limited workload runs without kills");
        let is_python = self.face == Face::Python;
        ensure!(!is_python || self.shape() == Shape::Mixed, "workers in Python run the workload mixed only");
        let of_server = |asked: Option<u32>, default| asked.or((!is_file && !is_python).then_some(default));
        let (concurrency, in_flight) = match (self.shape(), is_file || is_python) {
            (Shape::Limited, _) => (16, LIMITED_IN_FLIGHT),
            (_, true) => (16, 24),
            (_, false) => (64, 200),
        };
        Ok(Order {
            program: match self.face {
                Face::Rust => Program::Own,
                Face::Python => Program::Python(self.python.clone()),
            },
            shape: self.shape(),
            kills: self.kills,
            outages: of_server(self.server_kills, self.kills / KILLS_PER_OUTAGE).unwrap_or(0),
            seed: self.seed,
            workers: self.workers.into(),
            concurrency: self.concurrency.unwrap_or(concurrency).into(),
            in_flight: self.in_flight.unwrap_or(in_flight).into(),
            tasks: if self.kills == 0 {
                Some(self.tasks.unwrap_or(TIMED_TASKS))
            } else {
                of_server(self.tasks, self.kills.saturating_mul(TASKS_PER_KILL))
            },
            pace: match (self.store, self.through) {
                (Store::Sqlite, _) => ON_A_FILE,
                (Store::Postgres, Through::Direct) => SERVED,
                (Store::Postgres, Through::Pgbouncer) => POOLED,
            },
        })
    }

    /// What to do in the workload `idempotent`.
    pub fn of_keys(&self) -> anyhow::Result<keys::Order> {
        ensure!(self.server_kills.unwrap_or(0) == 0, "this workload kills workers only");
        ensure!(self.face == Face::Rust, "this workload has workers in Rust only");
        let is_file = self.store == Store::Sqlite;
        Ok(keys::Order {
            kills: self.kills,
            seed: self.seed,
            workers: self.workers.into(),
            concurrency: self.concurrency.unwrap_or(if is_file { 16 } else { 64 }).into(),
            callers: self.callers,
            keys: self.keys.unwrap_or(self.kills.saturating_mul(KEYS_PER_KILL)),
            stretch: if is_file { ON_A_FILE.stretch } else { SERVED.stretch },
        })
    }

    /// What to do in the workload `ticks`.
    pub fn of_ticks(&self) -> anyhow::Result<ticks::Order> {
        ensure!(self.server_kills.unwrap_or(0) == 0, "this workload kills workers only");
        Ok(ticks::Order {
            kills: self.kills,
            seed: self.seed,
            workers: self.workers.into(),
            concurrency: self.concurrency.unwrap_or(16).into(),
        })
    }

    /// What the run is held to.
    pub fn rules(&self) -> Rules {
        let recovery_p99 = match (self.store, self.through) {
            (Store::Sqlite, _) => Duration::from_millis(2_500),
            (Store::Postgres, Through::Direct) => Duration::from_secs(3),
            (Store::Postgres, Through::Pgbouncer) => WORKER_TIMEOUT + Duration::from_secs(1),
        };
        // After a restart nobody judges the silent before having been connected for the timeout, and to connect again
        // may take five seconds.
        let after_outage_p99 = WORKER_TIMEOUT + Duration::from_secs(5);
        // A few hundred of them, a step's time each, behind a recovery from each of the kills.
        let suspect_p99 = recovery_p99 * 2 + Duration::from_secs(10);
        let time_percent = (self.kills == 0).then_some(TIME_PERCENT);
        Rules { shape: self.shape(), recovery_p99, after_outage_p99, suspect_p99, time_percent }
    }

    /// The store of the run.
    pub fn site(&self, place: &Place) -> anyhow::Result<Site> {
        match self.store {
            Store::Sqlite => Ok(Site::file(place)),
            Store::Postgres => Site::server(self.through),
        }
    }

    /// One line for whoever watches.
    pub fn words(&self, order: &Order) -> String {
        let language = if self.face == Face::Python { " in Python" } else { "" };
        let mut words = format!("{} kills among {} workers{language}", order.kills, order.workers);
        if self.store == Store::Postgres {
            let way = match self.through {
                Through::Direct => "reached directly",
                Through::Pgbouncer => "reached through PgBouncer",
            };
            let tasks = order.tasks.map_or_else(String::new, |tasks| format!(", {tasks} tasks"));
            words += &format!(", {} of the server, which is {way}{tasks}", order.outages);
        }
        words + &format!(", seed {}", order.seed)
    }

    /// Whether the run is about keys, and not about steps.
    pub fn is_of_keys(&self) -> bool {
        self.workload == Some(Workload::Idempotent)
    }

    /// Whether the run is about schedules.
    pub fn is_of_ticks(&self) -> bool {
        self.workload == Some(Workload::Ticks)
    }

    fn shape(&self) -> Shape {
        match (self.workload, self.store) {
            (Some(Workload::Limited), _) => Shape::Limited,
            (Some(Workload::Five), _) => Shape::Five,
            (None, Store::Postgres) if self.face == Face::Rust => Shape::Five,
            _ => Shape::Mixed,
        }
    }
}
