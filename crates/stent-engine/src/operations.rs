//! Operations over what is stored, for clients, commands and a worker's upkeep: cleaning up by age, putting a task away,
//! counters and state values from outside a task, progress. Cleaning asks for small commands one after the other and
//! rests between them, so that it has at most half of the store's writer and workers the rest.

use stent_core::command::{BaggageChange, CleanExecutions, Number, Operation, PutAway};
use stent_core::limits::PROGRESS_STEPS;
use stent_core::progress::progress;
use stent_core::{Command, Done, ExecutionId, Failure, Progress, TaskId, Timestamp};

use crate::client::Engine;
use crate::error::{EngineError, wrong_answer};

/// What a clean-up deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Dead letters.
    pub letters: u64,
    /// Executions, each with all that belonged to it.
    pub executions: u64,
}

impl Engine {
    /// Deletes dead letters that were put away before this, then executions that ended before this and have no letter
    /// left. Workers go on meanwhile.
    ///
    /// # Errors
    /// The store's failure; what was deleted until then is gone.
    pub async fn clean_up(&self, before: Timestamp) -> Result<Cleaned, EngineError> {
        self.clean_up_until(before, || false).await
    }

    /// Deletes dead letters that were put away before this; how many. Their tasks stay failed.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn clean_letters(&self, before: Timestamp) -> Result<u64, EngineError> {
        self.sweep_until(&Operation::CleanLetters(before), &|| false).await
    }

    /// The same, until somebody has it stop.
    pub(crate) async fn clean_up_until(
        &self,
        before: Timestamp,
        is_stopped: impl Fn() -> bool + Send + Sync,
    ) -> Result<Cleaned, EngineError> {
        let letters = self.sweep_until(&Operation::CleanLetters(before), &is_stopped).await?;
        let mut cleaned = Cleaned { letters, executions: 0 };
        let mut from = None;
        while !is_stopped() {
            let operation = Operation::CleanExecutions(CleanExecutions { before, from });
            match self.operate_and_rest(operation).await? {
                Done::Cleaned { count, next } => {
                    cleaned.executions += u64::from(count);
                    from = next;
                    if from.is_none() {
                        break;
                    }
                }
                other => return Err(wrong_answer(&other)),
            }
        }
        Ok(cleaned)
    }

    /// Repeats an operation that sweeps until it finds nothing more; how many it handled.
    pub(crate) async fn sweep_until(
        &self,
        operation: &Operation,
        is_stopped: &(impl Fn() -> bool + Send + Sync),
    ) -> Result<u64, EngineError> {
        let mut all = 0;
        while !is_stopped() {
            match self.operate_and_rest(operation.clone()).await? {
                Done::Swept { count, more } => {
                    all += u64::from(count);
                    if !more {
                        break;
                    }
                }
                other => return Err(wrong_answer(&other)),
            }
        }
        Ok(all)
    }

    /// Carries an operation out, then rests as long as it took.
    async fn operate_and_rest(&self, operation: Operation) -> Result<Done, EngineError> {
        let runtime = &self.core().runtime;
        let began = runtime.now();
        let done = self.change(operation.execution(), Command::Operate(operation)).await?;
        runtime.sleep(runtime.now().saturating_sub(began)).await;
        Ok(done)
    }

    /// Puts a task that has not ended away as a dead letter: it fails for good with this failure.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; [`Refusal::Terminal`](stent_core::Refusal::Terminal) when it has ended.
    pub async fn put_away(&self, task: TaskId, failure: Failure) -> Result<(), EngineError> {
        let task = self.find(task).await?;
        let operation = Operation::PutAway(Box::new(PutAway { task, failure }));
        self.change(Some(task.execution), Command::Operate(operation)).await.map(drop)
    }

    /// Changes what an execution carries along, from outside its tasks. Of a counter that is added to, the new value.
    ///
    /// # Errors
    /// [`EngineError::Unknown`].
    pub async fn change_baggage(
        &self,
        execution: ExecutionId,
        change: BaggageChange,
    ) -> Result<Option<Number>, EngineError> {
        let command = Command::Operate(Operation::ChangeBaggage(execution, change));
        match self.change(Some(execution), command).await? {
            Done::Counter(value) => Ok(Some(value)),
            Done::Nothing => Ok(None),
            other => Err(wrong_answer(&other)),
        }
    }

    /// How far an execution has come; empty when there is none.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn progress(&self, execution: ExecutionId) -> Result<Vec<Progress>, EngineError> {
        let store = self.store();
        let tasks = store.tasks(execution).await?;
        let steps = store.steps(execution, PROGRESS_STEPS).await?;
        Ok(progress(&tasks, &steps))
    }
}
