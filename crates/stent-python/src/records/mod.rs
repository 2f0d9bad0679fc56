//! Records for hands: what the backend objects of the Python package do to executions and tasks outside of any worker.
//! A request and its answer are JSON (payloads as their stored bytes in hexadecimal), since none of this is hot; each
//! becomes a command of the store's, so that a write by hand obeys the rules that a worker obeys.
//!
//! Invariant: what needs the right to a task is only done with the lease that a claim by the same object brought.

mod answers;
pub mod class;
mod hands;
mod requests;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stent_core::command::{CleanExecutions, Operation};
use stent_core::name::NameError;
use stent_core::payload::PayloadError;
use stent_core::view::{ExecutionFilter, TaskFilter};
use stent_core::{Command, Done, ExecutionId, Refusal, StoreError, TaskId, TaskRef, TaskState};
use stent_engine::{Engine, EngineError};

use hands::Hands;

/// Why a request came to nothing: what sort it is, for the class of the error in Python, and the words.
#[derive(Debug)]
pub struct Trouble {
    /// `lease_lost`, `terminal`, `unknown`, `exists`, `busy`, `expired`, `stalled`, `value` or `store`.
    pub kind: &'static str,
    /// What happened, for people.
    pub words: String,
}

impl Trouble {
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` is given")]
    fn value(words: impl ToString) -> Self {
        Self { kind: "value", words: words.to_string() }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::LeaseLost | Refusal::SessionGone => "lease_lost",
            Refusal::Terminal(_) => "terminal",
            Refusal::Unknown => "unknown",
            Refusal::Exists => "exists",
            Refusal::Busy | Refusal::ReplayRoot => "busy",
        };
        Self { kind, words: refusal.to_string() }
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Unknown => Refusal::Unknown.into(),
            EngineError::TimedOut => Self { kind: "expired", words: "the wait expired".to_owned() },
            EngineError::UnknownSchedule(_) => Self { kind: "unknown", words: error.to_string() },
            EngineError::Schedule(_) => Self { kind: "value", words: error.to_string() },
            EngineError::Name(error) => Self::value(error),
            EngineError::Payload(error) => Self::value(error),
            other => Self { kind: "store", words: other.to_string() },
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let kind = if error.kind() == stent_core::StoreErrorKind::Misuse { "value" } else { "store" };
        Self { kind, words: error.to_string() }
    }
}

impl From<NameError> for Trouble {
    fn from(error: NameError) -> Self {
        Self::value(error)
    }
}

impl From<PayloadError> for Trouble {
    fn from(error: PayloadError) -> Self {
        Self::value(error)
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::value(error)
    }
}

type Answer<T> = Result<T, Trouble>;

/// The records of one store.
#[derive(Clone)]
pub struct Records {
    engine: Engine,
    hands: Arc<Hands>,
}

impl Records {
    /// The records behind an engine. Must be made on a runtime of tokio, which keeps the leases of its claims alive.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let hands = Hands::begin(engine.clone());
        Self { engine, hands }
    }

    /// Carries a request out: `name` says which, `request` is its JSON.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn carry_out(&self, name: &str, request: &[u8]) -> Result<Vec<u8>, Trouble> {
        let answer = self.answer(name, request).await?;
        Ok(serde_json::to_vec(&answer)?)
    }

    async fn answer(&self, name: &str, request: &[u8]) -> Answer<Value> {
        let store = self.engine.store();
        match name {
            "create" => self.create(read(request)?).await,
            "create_child" => self.create_child(read(request)?).await,
            "finish" => self.finish(read(request)?).await,
            "put_away" => self.put_away(read(request)?).await,
            "claim" => self.claim(read(request)?).await,
            "renew" => self.renew(read(request)?).await,
            "keep" => self.keep(read(request)?).await,
            "change" => self.change_baggage(read(request)?).await,
            "signal" => self.signal(read(request)?).await,
            "cancel" => Ok(json!(self.engine.cancel(self.one::<TaskId>(request)?).await?)),
            "execution" => self.execution(self.one(request)?).await,
            "executions" => {
                let asked: requests::Page = read(request)?;
                let state = asked.execution_state()?;
                let filter = ExecutionFilter { state, queue: None, limit: asked.limit, offset: asked.offset };
                let mut shown = Vec::new();
                for view in store.executions(filter).await? {
                    shown.push(self.execution(view.id).await?);
                }
                Ok(Value::Array(shown))
            }
            "count_executions" => {
                let asked: requests::Page = read(request)?;
                Ok(json!(store.count_executions(asked.execution_state()?).await?))
            }
            "task" => {
                let Some(at) = store.find_task(self.one(request)?).await? else { return Ok(Value::Null) };
                let view = store.task(at).await?;
                Ok(view.map_or(Value::Null, |view| answers::task(&view, &self.hands)))
            }
            "tasks" => {
                let tasks = store.tasks(self.one(request)?).await?;
                Ok(tasks.iter().map(|view| answers::task(view, &self.hands)).collect())
            }
            "list_tasks" => self.list_tasks(&read(request)?).await,
            "count_tasks" => {
                let asked: requests::Page = read(request)?;
                let queue = asked.queue()?;
                let mut count = 0;
                for state in asked.task_states()? {
                    count += store.count_tasks(queue.clone(), state).await?;
                }
                Ok(json!(count))
            }
            "memo" => Ok(answers::memo(store.memo(self.key(request)?).await?)),
            "letters" => self.letters(read::<requests::Page>(request)?.limit).await,
            "letter" => {
                let Some(at) = store.find_task(self.one(request)?).await? else { return Ok(Value::Null) };
                let Some(letter) = store.letter(at).await? else { return Ok(Value::Null) };
                self.letter(&letter).await
            }
            "count_letters" => Ok(json!(store.count_letters().await?)),
            "discard" => match self.engine.discard_letter(self.one(request)?).await {
                Err(EngineError::Unknown) => Ok(json!(false)),
                other => Ok(json!(other?)),
            },
            "clean_letters" => Ok(json!(self.engine.clean_letters(self.moment(request)?).await?)),
            "clean_executions" => self.clean_executions(self.moment(request)?).await,
            "baggage" => Ok(answers::baggage(&store.baggage(self.one(request)?).await?)),
            "select" => {
                let asked: requests::Select = read(request)?;
                Ok(answers::table(
                    store.select(asked.statement, asked.parameters.into_iter().map(Into::into).collect()).await?,
                ))
            }
            "now" => Ok(json!(store.now().as_micros())),
            "close" => {
                self.hands.close().await;
                Ok(Value::Null)
            }
            other => Err(Trouble::value(format!("there is no request \"{other}\""))),
        }
    }

    /// The id that a request consists of.
    fn one<T: std::str::FromStr<Err = uuid::Error>>(&self, request: &[u8]) -> Answer<T> {
        let text: String = read(request)?;
        text.parse().map_err(|_| Trouble { kind: "unknown", words: format!("\"{text}\" is no id: ids are UUIDs") })
    }

    fn key(&self, request: &[u8]) -> Answer<stent_core::MemoKey> {
        stent_core::MemoKey::new(&read::<String>(request)?).map_err(Trouble::value)
    }

    fn moment(&self, request: &[u8]) -> Answer<stent_core::Timestamp> {
        Ok(stent_core::Timestamp::from_micros(read(request)?))
    }

    /// Where a task is.
    async fn find(&self, id: TaskId) -> Answer<TaskRef> {
        self.engine.store().find_task(id).await?.ok_or_else(|| Refusal::Unknown.into())
    }

    async fn execution(&self, id: ExecutionId) -> Answer<Value> {
        let store = self.engine.store();
        let Some(view) = store.execution(id).await? else { return Ok(Value::Null) };
        let Some(root) = store.task(TaskRef::root(id)).await? else { return Ok(Value::Null) };
        let progress = self.engine.progress(id).await?;
        Ok(answers::execution(&view, &root, &progress))
    }

    /// A page of tasks. A task that waits reads `running`, so that state is two of the store's.
    async fn list_tasks(&self, asked: &requests::Page) -> Answer<Value> {
        let (store, queue) = (self.engine.store(), asked.queue()?);
        let states = asked.task_states()?;
        let (limit, offset) = match states.len() {
            1 => (asked.limit, asked.offset),
            _ => (asked.limit.saturating_add(asked.offset), 0),
        };
        let mut found = Vec::new();
        for state in &states {
            let filter = TaskFilter { state: *state, queue: queue.clone(), only_children: false, limit, offset };
            found.extend(store.list_tasks(filter).await?);
        }
        if states.len() > 1 {
            found.sort_by_key(|view| std::cmp::Reverse((view.task.execution, view.task.task)));
            found = found.into_iter().skip(asked.offset as usize).take(asked.limit as usize).collect();
        }
        Ok(found.iter().map(|view| answers::task(view, &self.hands)).collect())
    }

    async fn letters(&self, limit: u32) -> Answer<Value> {
        let mut shown = Vec::new();
        for letter in self.engine.store().letters(limit).await? {
            shown.push(self.letter(&letter).await?);
        }
        Ok(Value::Array(shown))
    }

    async fn letter(&self, letter: &stent_core::view::LetterView) -> Answer<Value> {
        let Some(task) = self.engine.store().task(letter.task).await? else { return Ok(Value::Null) };
        let task = answers::task(&task, &self.hands);
        Ok(json!({"task": task, "reason": letter.failure.message, "moved_at": letter.moved_at.as_micros()}))
    }

    async fn clean_executions(&self, before: stent_core::Timestamp) -> Answer<Value> {
        let (mut count, mut from) = (0, None);
        loop {
            let clean = Operation::CleanExecutions(CleanExecutions { before, from });
            match self.engine.carry_out(None, Command::Operate(clean)).await?? {
                Done::Cleaned { count: gone, next } => {
                    count += gone;
                    if next.is_none() {
                        return Ok(json!(count));
                    }
                    from = next;
                }
                _ => return Ok(json!(count)),
            }
        }
    }
}

fn read<T: DeserializeOwned>(request: &[u8]) -> Answer<T> {
    serde_json::from_slice(request).map_err(Trouble::value)
}

/// The state of a task as records have it: one that waits through the store reads `running`, like its execution.
fn state_of(state: TaskState) -> &'static str {
    match state {
        TaskState::Suspended => TaskState::Running.as_str(),
        other => other.as_str(),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn to_json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
