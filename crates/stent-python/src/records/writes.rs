//! What is written by hand: each request as the command that a worker or a client would send.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stent_core::command::{
    BaggageChange, Claim, Deadline, Ending, Finish, KeepResult, Operation, Release, Reservation, Reserve, Start,
    StartChild,
};
use stent_core::history::Due;
use stent_core::routing::DEFAULT_QUEUE;
use stent_core::select::Cell;
use stent_core::view::FunctionView;
use stent_core::{
    CallKey, Command, Done, ExecutionId, Lease, MaxConcurrent, Memo, MemoKey, Name, Refusal, RetryPolicy, Serve,
    SessionId, TaskId, TaskOptions, TaskRef, TaskSpec, TaskState, Timestamp,
};
use stent_engine::StartRequest;

use super::requests::{self, How, names, new_id, span, task_id};
use super::{Answer, Records, Trouble, answers};

/// Who does what is written down after the fact.
const SCRIBE: &str = "by hand";

impl Records {
    /// Creates an execution with its root task.
    pub(super) async fn create(&self, create: requests::Create) -> Answer<Value> {
        let id = new_id(&create.id)?;
        let now = self.engine.store().now();
        let expire_after = create.expires_us.map(|at| Timestamp::from_micros(at).since(now));
        let (spec, due) = spec(&create)?;
        let deadline = Deadline { expire_after, ..Deadline::default() };
        let Some(how) = create.ended else {
            self.engine.start(StartRequest { id: Some(id), spec, key: None, due, deadline }).await?;
            return Ok(Value::Null);
        };
        let session = self.hands.session(SCRIBE).await?;
        let start = Start { id, spec, key: None, due: None, deadline, claim_for: Some(session) };
        self.engine.carry_out(Some(id), Command::Start(Box::new(start))).await??;
        let lease = Lease { task: TaskRef::root(id), session, epoch: 1 };
        self.end(lease, how).await
    }

    /// Creates a task that another one called, which must be in hand here.
    pub(super) async fn create_child(&self, child: requests::CreateChild) -> Answer<Value> {
        let (parent, id) = (self.find(task_id(&child.parent)?).await?, new_id(&child.create.id)?);
        if id.as_bytes()[..6] != parent.execution.as_bytes()[..6] {
            let (id, execution) = (id, parent.execution);
            let words =
                format!("\"{id}\" cannot be the id of a task below {execution}: stent.core.new_id(below=..) makes one");
            return Err(Trouble::value(words));
        }
        let view = self.engine.store().task(parent).await?.ok_or(Refusal::Unknown)?;
        let held = self.hands.held(parent.task, view.epoch).ok_or(Refusal::LeaseLost)?;
        let (spec, due) = spec(&child.create)?;
        let digest = spec.args.digest();
        // The id makes the key: two tasks by hand never take each other for the same call.
        let key = CallKey::new("", &format!("by hand:{id}"), 1);
        let child = TaskId::from_uuid(id.uuid());
        let start = StartChild { parent: held.lease, child, key, seen: 0, digest, spec, due, in_place: false };
        self.engine.carry_out(Some(parent.execution), Command::StartChild(Box::new(start))).await??;
        Ok(Value::Null)
    }

    /// Claims the next task of any function. One that shares its result with equal calls is claimed only if its body may
    /// run: a hit ends it here and now.
    pub(super) async fn claim(&self, asked: requests::Claim) -> Answer<Value> {
        let queues = asked.queues.as_deref().map(|queues| names("queue", queues)).transpose()?;
        let tags = asked.tags.as_deref().map(|tags| names("tag", tags)).transpose()?;
        let session = self.hands.session(&asked.worker).await?;
        if !asked.limits.is_empty() {
            self.publish(session, &asked.limits).await?;
        }
        let serve = Arc::new(Serve { queues, functions: self.functions().await?, tags });
        let as_of = asked.as_of_us.map(Timestamp::from_micros).filter(|as_of| *as_of > self.engine.store().now());
        if let Some(as_of) = as_of {
            self.engine.carry_out(None, Command::Operate(Operation::Promote(as_of))).await??;
        }
        loop {
            let claim = Claim { session, serve: Arc::clone(&serve), max: 1 };
            let claimed = match self.engine.carry_out(None, Command::Claim(claim)).await? {
                Ok(Done::Claimed { tasks, .. }) => tasks.into_iter().next(),
                Err(Refusal::SessionGone) => {
                    self.hands.forget(&asked.worker);
                    return Err(Refusal::SessionGone.into());
                }
                Ok(_) => None,
                Err(refusal) => return Err(refusal.into()),
            };
            let Some(task) = claimed else { return Ok(Value::Null) };
            let lease = task.lease;
            let execution = Some(lease.task.execution);
            if task.spec.options.idempotent().is_some() {
                let reserve = Command::Reserve(Reserve { lease });
                match self.engine.carry_out(execution, reserve).await?? {
                    Done::Reserved(Reservation::Hit | Reservation::Busy) => continue,
                    Done::Reserved(Reservation::Ancestor(holder)) => {
                        let words = format!("its ancestor {holder} has the key that it waits for");
                        let failure = stent_core::Failure::new(stent_core::FailureKind::Error, words);
                        self.finish_with(lease, Ending::Failed(failure)).await?;
                        continue;
                    }
                    _ => {}
                }
            }
            self.hands.take(&asked.worker, lease, span(asked.lease_ms));
            let view = self.engine.store().task(lease.task).await?.ok_or(Refusal::Unknown)?;
            return Ok(answers::task(&view, &self.hands));
        }
    }

    async fn publish(&self, session: SessionId, limits: &std::collections::BTreeMap<String, u32>) -> Answer<()> {
        let views = limits.iter().map(|(function, limit)| {
            let limit = MaxConcurrent::new(*limit).map_err(|error| Trouble::value(format!("a limit {error}")))?;
            Ok(FunctionView { max_concurrent: Some(limit), ..FunctionView::new(Name::new("function", function)?) })
        });
        let publish = Command::Publish(session, views.collect::<Answer<_>>()?);
        self.engine.carry_out(None, publish).await??;
        Ok(())
    }

    /// The functions of all tasks there ever were: by hand any may be claimed.
    async fn functions(&self) -> Answer<Vec<Name>> {
        let statement = "SELECT DISTINCT function FROM routes ORDER BY function".to_owned();
        let table = self.engine.store().select(statement, Vec::new()).await?;
        let names = table.rows.into_iter().flatten().filter_map(|cell| match cell {
            Cell::Text(text) => Some(Name::stored(&text)),
            _ => None,
        });
        Ok(names.collect())
    }

    pub(super) async fn renew(&self, asked: requests::Renew) -> Answer<Value> {
        let task = task_id(&asked.task)?;
        let Some(lease) = self.hands.lease(&asked.worker, task) else { return Ok(json!(false)) };
        if self.engine.carry_out(None, Command::Beat(lease.session)).await? == Err(Refusal::SessionGone) {
            self.hands.forget(&asked.worker);
            return Ok(json!(false));
        }
        let view = self.engine.store().task(lease.task).await?;
        let holds = view.is_some_and(|view| {
            view.state == TaskState::Running && view.session == Some(lease.session) && view.epoch == lease.epoch
        });
        if holds {
            self.hands.take(&asked.worker, lease, span(asked.lease_ms));
        } else {
            self.hands.drop_lease(lease);
        }
        Ok(json!(holds))
    }

    /// Ends an attempt of a task that is in hand here.
    pub(super) async fn finish(&self, end: requests::End) -> Answer<Value> {
        let task = self.find(task_id(&end.task)?).await?;
        if matches!(end.how, How::Cancelled) {
            self.engine.carry_out(Some(task.execution), Command::Cancel(task)).await??;
            return Ok(Value::Null);
        }
        let view = self.engine.store().task(task).await?.ok_or(Refusal::Unknown)?;
        if view.state.is_terminal() {
            return Err(Refusal::Terminal(view.state).into());
        }
        let epoch = end.epoch.unwrap_or(view.epoch);
        let held =
            self.hands.held(task.task, epoch).filter(|held| end.worker.as_ref().is_none_or(|w| *w == held.worker));
        self.end(held.ok_or(Refusal::LeaseLost)?.lease, end.how).await
    }

    async fn end(&self, lease: Lease, how: How) -> Answer<Value> {
        let execution = Some(lease.task.execution);
        match how {
            How::Completed(value) => self.finish_with(lease, Ending::Completed(value.payload("the result")?)).await?,
            How::Failed(failed) => self.finish_with(lease, Ending::Failed(failed.into())).await?,
            How::Retry(failed, at) => self.finish_with(lease, Ending::Retry(failed.into(), self.until(at))).await?,
            How::Release(at) => {
                let release = Release { lease, delay: self.until(at), reason: None };
                self.engine.carry_out(execution, Command::Release(Box::new(release))).await??;
            }
            How::Cancelled => {
                self.engine.carry_out(execution, Command::Cancel(lease.task)).await??;
            }
        }
        self.hands.drop_lease(lease);
        Ok(Value::Null)
    }

    /// How long it is from now by the store's clock, and never less.
    fn until(&self, at: Option<i64>) -> Duration {
        let left = at.map_or(Duration::ZERO, |at| Timestamp::from_micros(at).since(self.engine.store().now()));
        span(super::millis(left + Duration::from_micros(999)))
    }

    async fn finish_with(&self, lease: Lease, ending: Ending) -> Answer<()> {
        let finish = Finish { lease, ending, deliver: None, start: None, returned: Vec::new() };
        self.engine.carry_out(Some(lease.task.execution), Command::Finish(Box::new(finish))).await??;
        Ok(())
    }

    pub(super) async fn put_away(&self, put: requests::PutAway) -> Answer<Value> {
        self.engine.put_away(task_id(&put.task)?, put.failure.into()).await?;
        Ok(Value::Null)
    }

    pub(super) async fn keep(&self, keep: requests::Keep) -> Answer<Value> {
        let key = MemoKey::new(&keep.key).map_err(Trouble::value)?;
        let memo = if keep.idempotent { Memo::idempotent(key) } else { Memo::cached(key, keep.ttl_ms.map(span)) };
        // Nobody's: no task has the id of zeros.
        let holder = TaskRef::root(ExecutionId::from_bytes([0; 16]));
        let keep = KeepResult { memo, holder, result: keep.value.payload("the value")? };
        self.engine.carry_out(None, Command::Operate(Operation::KeepResult(Box::new(keep)))).await??;
        Ok(Value::Null)
    }

    pub(super) async fn signal(&self, signal: requests::Signal) -> Answer<Value> {
        let id = ExecutionId::from_uuid(task_id(&signal.execution)?.uuid());
        let name = Name::new("signal", &signal.name)?;
        self.engine.signal(id, name, signal.payload.payload("the payload")?).await?;
        Ok(Value::Null)
    }

    pub(super) async fn change_baggage(&self, change: requests::Change) -> Answer<Value> {
        let id = ExecutionId::from_uuid(task_id(&change.execution)?.uuid());
        let mut changes = Vec::new();
        if !change.ensure_counters.is_empty() {
            let named =
                change.ensure_counters.into_iter().map(|(name, number)| Ok((Name::new("counter", &name)?, number)));
            changes.push(BaggageChange::EnsureCounters(named.collect::<Answer<_>>()?));
        }
        if !change.ensure_state.is_empty() {
            let named = change
                .ensure_state
                .iter()
                .map(|(name, value)| Ok((Name::new("state value", name)?, value.payload("the state value")?)));
            changes.push(BaggageChange::EnsureState(named.collect::<Answer<_>>()?));
        }
        if let Some((name, value)) = change.set {
            changes.push(BaggageChange::SetState(Name::new("state value", &name)?, value.payload("the state value")?));
        }
        if let Some((name, number)) = change.add {
            changes.push(BaggageChange::AddCounter(Name::new("counter", &name)?, number));
        }
        let mut answer = Value::Null;
        for change in changes {
            let command = Command::Operate(Operation::ChangeBaggage(id, change));
            if let Done::Counter(number) = self.engine.carry_out(Some(id), command).await?? {
                answer = json!(number.as_f64());
            }
        }
        Ok(answer)
    }
}

fn spec(create: &requests::Create) -> Answer<(TaskSpec, Option<Due>)> {
    let memo = create.memo_key.as_deref().map(MemoKey::new).transpose().map_err(Trouble::value)?;
    let retry = create.retry.clone().unwrap_or_else(RetryPolicy::none);
    let options = TaskOptions { memo: memo.map(|key| Box::new(Memo::idempotent(key))), retry, timeout_ms: None };
    let spec = TaskSpec {
        function: Name::new("function", &create.function)?,
        args: create.args.payload("the arguments")?,
        queue: Name::new("queue", create.queue.as_deref().unwrap_or(DEFAULT_QUEUE))?,
        priority: create.priority,
        tags: names("tag", &create.tags)?,
        headers: None,
        options,
    };
    Ok((spec, create.due_us.map(|at| Due::At(Timestamp::from_micros(at)))))
}
