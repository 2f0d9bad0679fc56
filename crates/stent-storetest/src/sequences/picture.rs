//! Everything that a store shows, read through its queries, in a form in which two stores can be compared: words that
//! a store chooses itself (of failures it makes) are left out, all else must be equal.

use std::fmt::Write as _;

use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Done, ExecutionState, Failure, FailureKind, History, Name, Outcome, Record, ScheduleView, Store,
    StoreError, TaskRef, TaskState, Verdict,
};

use super::ops::{EXECUTIONS, SESSIONS, execution, memo_key, schedule_name, session};
use crate::drive::block_on;

/// What is shown of one task.
#[derive(Debug, PartialEq)]
struct TaskPicture {
    view: TaskView,
    history: History,
    later: History,
    arrivals: Vec<CallKey>,
    letter: Option<LetterView>,
    found: Option<TaskRef>,
}

/// Everything shown at one moment.
#[derive(Debug, PartialEq)]
pub(super) struct Picture {
    executions: Vec<ExecutionView>,
    lists: Vec<Vec<ExecutionView>>,
    counts: Vec<u64>,
    pages: Vec<Vec<TaskView>>,
    stats: Vec<Stats>,
    steps: Vec<Vec<StepView>>,
    tasks: Vec<TaskPicture>,
    letters: Vec<LetterView>,
    nudges: Vec<Vec<Nudge>>,
    sessions: Vec<SessionView>,
    queues: Vec<QueueView>,
    functions: Vec<FunctionView>,
    limits: Vec<LimitView>,
    baggage: Vec<Baggage>,
    memos: Vec<Option<MemoView>>,
    schedules: Vec<ScheduleView>,
}

impl Picture {
    /// Reads all that the sequences' universe can hold.
    pub(super) fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let ids: Vec<_> = (0..EXECUTIONS).map(execution).collect();
        let mut picture = Self {
            executions: Vec::new(),
            lists: Vec::new(),
            counts: vec![block_on(store.count_executions(None))?, block_on(store.count_letters())?],
            pages: Vec::new(),
            stats: vec![block_on(store.stats())?],
            steps: Vec::new(),
            tasks: Vec::new(),
            letters: block_on(store.letters(100))?,
            nudges: Vec::new(),
            sessions: block_on(store.sessions())?,
            queues: block_on(store.queues())?,
            functions: block_on(store.functions())?,
            limits: Vec::new(),
            baggage: Vec::new(),
            memos: Vec::new(),
            schedules: block_on(store.schedules())?,
        };
        picture.schedules.extend(block_on(store.next_schedules(2))?);
        for number in 0..2 {
            picture.schedules.extend(block_on(store.schedule(&schedule_name(number)))?);
        }
        for function in super::ops::FUNCTIONS {
            picture.limits.push(block_on(store.limit(&stent_core::Name::stored(function)))?);
        }
        picture.letters.iter_mut().for_each(|letter| plain(&mut letter.failure));
        for id in ids {
            picture.executions.extend(block_on(store.execution(id))?);
            picture.baggage.push(block_on(store.baggage(id))?);
            picture.steps.push(block_on(store.steps(id, 3))?);
            for view in block_on(store.tasks(id))? {
                let task = TaskPicture::of(store, view)?;
                picture.tasks.push(task);
            }
        }
        let all = ExecutionFilter { limit: 100, ..ExecutionFilter::default() };
        let queue = Some(stent_core::Name::stored("slow"));
        let mut filters = vec![all.clone(), ExecutionFilter { limit: 2, offset: 1, queue: None, state: None }];
        filters.push(ExecutionFilter { queue, limit: 100, offset: 0, state: None });
        for state in ExecutionState::ALL {
            picture.counts.push(block_on(store.count_executions(Some(state)))?);
            filters.push(ExecutionFilter { state: Some(state), ..all.clone() });
        }
        for filter in filters {
            picture.lists.push(block_on(store.executions(filter))?);
        }
        for number in 0..2 {
            picture.memos.push(block_on(store.memo(memo_key(number)))?);
        }
        picture.read_pages(store)?;
        for number in 0..SESSIONS {
            picture.nudges.push(block_on(store.nudges(session(number)))?);
        }
        for step in picture.steps.iter_mut().flatten() {
            step.failure.iter_mut().for_each(plain);
        }
        let lists = picture.lists.iter_mut().flatten();
        for view in picture.executions.iter_mut().chain(lists) {
            view.failure.iter_mut().for_each(plain);
        }
        Ok(picture)
    }

    /// Tasks as they are listed and counted.
    fn read_pages(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let all = TaskFilter { limit: 100, ..TaskFilter::default() };
        let slow = Some(Name::stored("slow"));
        let children = TaskFilter { only_children: true, queue: slow.clone(), ..all };
        let mut filters = vec![all.clone(), TaskFilter { limit: 3, offset: 2, ..all.clone() }, children];
        for state in TaskState::ALL {
            self.counts.push(block_on(store.count_tasks(None, Some(state)))?);
            self.counts.push(block_on(store.count_tasks(slow.clone(), Some(state)))?);
            filters.push(TaskFilter { state: Some(state), queue: slow.clone(), ..all.clone() });
            filters.push(TaskFilter { state: Some(state), only_children: true, limit: 2, offset: 1, queue: None });
        }
        self.counts.extend([block_on(store.count_tasks(None, None))?, block_on(store.count_tasks(slow, None))?]);
        for filter in filters {
            let mut page = block_on(store.list_tasks(filter))?;
            page.iter_mut().flat_map(|view| &mut view.failure).for_each(plain);
            self.pages.push(page);
        }
        Ok(())
    }

    /// Where two pictures differ, in words; empty when they do not.
    pub(super) fn difference(&self, other: &Self) -> String {
        let mut words = String::new();
        compare(&mut words, "executions", &self.executions, &other.executions);
        compare(&mut words, "lists", &self.lists, &other.lists);
        compare(&mut words, "counts", &self.counts, &other.counts);
        compare(&mut words, "pages", &self.pages, &other.pages);
        compare(&mut words, "stats", &self.stats, &other.stats);
        compare(&mut words, "steps", &self.steps, &other.steps);
        compare(&mut words, "tasks", &self.tasks, &other.tasks);
        compare(&mut words, "letters", &self.letters, &other.letters);
        compare(&mut words, "nudges", &self.nudges, &other.nudges);
        compare(&mut words, "sessions", &self.sessions, &other.sessions);
        compare(&mut words, "queues", &self.queues, &other.queues);
        compare(&mut words, "functions", &self.functions, &other.functions);
        compare(&mut words, "limits", &self.limits, &other.limits);
        compare(&mut words, "baggage", &self.baggage, &other.baggage);
        compare(&mut words, "memos", &self.memos, &other.memos);
        compare(&mut words, "schedules", &self.schedules, &other.schedules);
        words
    }
}

fn compare<T: std::fmt::Debug + PartialEq>(words: &mut String, what: &str, model: &[T], store: &[T]) {
    if model.len() != store.len() {
        let _ = writeln!(words, "{what}: {} in the model, {} in the store", model.len(), store.len());
    }
    for (model, store) in model.iter().zip(store).filter(|(model, store)| model != store) {
        let _ = writeln!(words, "{what}:\n  model {model:?}\n  store {store:?}");
    }
}

impl TaskPicture {
    fn of(store: &dyn Store, mut view: TaskView) -> Result<Self, StoreError> {
        let task = view.task;
        view.failure.iter_mut().for_each(plain);
        let mut picture = Self {
            view,
            history: block_on(store.history(task, 0))?,
            later: block_on(store.history(task, 2))?,
            arrivals: block_on(store.arrivals(task))?,
            letter: block_on(store.letter(task))?,
            found: block_on(store.find_task(task.task))?,
        };
        let records = picture.history.records.iter_mut().chain(&mut picture.later.records);
        records.for_each(plain_record);
        picture.letter.iter_mut().for_each(|letter| plain(&mut letter.failure));
        Ok(picture)
    }
}

/// Leaves the words out of a failure that a store made itself.
fn plain(failure: &mut Failure) {
    if matches!(failure.kind, FailureKind::Cancelled | FailureKind::Timeout | FailureKind::Lost) {
        failure.message.clear();
    }
}

fn plain_record(record: &mut Record) {
    if record.verdict == Verdict::Failed {
        let mut failure = Failure::from_payload(&record.payload);
        if failure.kind != FailureKind::Payload {
            plain(&mut failure);
            record.payload = failure.to_payload();
        }
    }
    // What an effect recorded is JSON, whose keys come in any order.
    if let Ok(value) = record.payload.read::<serde_json::Value>() {
        record.payload = stent_core::Payload::json(&value).unwrap_or_else(|_| record.payload.clone());
    }
}

/// An outcome in the form in which it is compared.
pub(super) fn plain_outcome(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    match &mut outcome {
        Ok(Done::Recorded(record) | Done::Delivered(record)) => plain_record(record),
        Ok(Done::Finished { delivered: Some(record) }) => plain_record(record),
        _ => {}
    }
    outcome
}
