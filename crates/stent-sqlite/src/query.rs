//! Every statement, by name: one file each in `sql/`. A batch prepares a statement at its first use and holds it to its
//! end; between batches they rest in the connection's cache, so nothing is parsed twice.

use rusqlite::{CachedStatement, Connection};

macro_rules! queries {
    ($($name:ident $file:literal,)*) => {
        /// A statement's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Query { $($name,)* }

        /// Name and text of each, for the tests that ask SQLite how it would carry them out.
        pub(crate) const TEXTS: &[(&str, &str)] = &[$(($file, include_str!(concat!("../sql/", $file, ".sql"))),)*];
    };
}

queries! {
// queries begin
    CacheClear "cache_clear",
    CacheDelete "cache_delete",
    CacheLeft "cache_left",
    CacheOver "cache_over",
    CachePrune "cache_prune",
    CachePut "cache_put",
    CacheRead "cache_read",
    ClaimGates "claim_gates",
    ClaimHeld "claim_held",
    ClaimRoute "claim_route",
    ClaimSeek "claim_seek",
    ClaimTask "claim_task",
    CleanChildren "clean_children",
    CleanCounters "clean_counters",
    CleanCursors "clean_cursors",
    CleanExecution "clean_execution",
    CleanLook "clean_look",
    CleanRecords "clean_records",
    CleanRoot "clean_root",
    CleanSignals "clean_signals",
    CleanState "clean_state",
    CounterEnsure "counter_ensure",
    CounterList "counter_list",
    CounterRead "counter_read",
    CounterSet "counter_set",
    EventCursorSet "event_cursor_set",
    EventCursorsAny "event_cursors_any",
    EventCursorsDelete "event_cursors_delete",
    EventInsert "event_insert",
    EventNext "event_next",
    EventStreamNext "event_stream_next",
    EventsOlder "events_older",
    EventsPrune "events_prune",
    ExecutionCount "execution_count",
    ExecutionCountCompleted "execution_count_completed",
    ExecutionCountFailed "execution_count_failed",
    ExecutionCountLive "execution_count_live",
    ExecutionEnd "execution_end",
    ExecutionEnded "execution_ended",
    ExecutionFinish "execution_finish",
    ExecutionInsert "execution_insert",
    ExecutionLimits "execution_limits",
    ExecutionList "execution_list",
    ExecutionListCompleted "execution_list_completed",
    ExecutionListFailed "execution_list_failed",
    ExecutionListLive "execution_list_live",
    ExecutionRead "execution_read",
    ExecutionReplay "execution_replay",
    ExecutionSetDeadline "execution_set_deadline",
    ExecutionView "execution_view",
    ExecutionsOverdue "executions_overdue",
    FunctionDelete "function_delete",
    FunctionInsert "function_insert",
    FunctionList "function_list",
    HistoryChildrenEnded "history_children_ended",
    HistoryChildrenOpen "history_children_open",
    HistoryRecords "history_records",
    LetterCount "letter_count",
    LetterDelete "letter_delete",
    LetterDeleteAll "letter_delete_all",
    LetterExists "letter_exists",
    LetterInsert "letter_insert",
    LetterList "letter_list",
    LetterRead "letter_read",
    LettersOlder "letters_older",
    LettersPrune "letters_prune",
    LimitHolders "limit_holders",
    LimitSettle "limit_settle",
    LimitView "limit_view",
    QueueBusy "queue_busy",
    QueueDelete "queue_delete",
    QueueList "queue_list",
    QueuePaused "queue_paused",
    QueueUpsert "queue_upsert",
    RecordAppend "record_append",
    RecordChildren "record_children",
    RecordExists "record_exists",
    RecordInsert "record_insert",
    RecordOfEpoch "record_of_epoch",
    ReservationFree "reservation_free",
    ReservationHandOn "reservation_hand_on",
    ReservationInsert "reservation_insert",
    ReservationLineClear "reservation_line_clear",
    ReservationLineJoin "reservation_line_join",
    ReservationLineLeave "reservation_line_leave",
    ReservationLineList "reservation_line_list",
    ReservationRead "reservation_read",
    ReservationSettle "reservation_settle",
    RouteFind "route_find",
    RouteInsert "route_insert",
    RoutesAfter "routes_after",
    ScheduleDelete "schedule_delete",
    ScheduleList "schedule_list",
    ScheduleNext "schedule_next",
    ScheduleRead "schedule_read",
    ScheduleRest "schedule_rest",
    ScheduleSet "schedule_set",
    ScheduleTick "schedule_tick",
    SchemaRead "schema_read",
    SessionBeat "session_beat",
    SessionClose "session_close",
    SessionCount "session_count",
    SessionDelete "session_delete",
    SessionEmptied "session_emptied",
    SessionEmptiedList "session_emptied_list",
    SessionInsert "session_insert",
    SessionList "session_list",
    SessionNudges "session_nudges",
    SessionRead "session_read",
    SessionSuspect "session_suspect",
    SessionTasks "session_tasks",
    SessionsForgotten "sessions_forgotten",
    SignalConsume "signal_consume",
    SignalInsert "signal_insert",
    SignalLineEnd "signal_line_end",
    SignalNth "signal_nth",
    SignalReturn "signal_return",
    SlotFree "slot_free",
    SlotHold "slot_hold",
    SlotInsert "slot_insert",
    SlotLetGo "slot_let_go",
    SlotWanted "slot_wanted",
    StartKeyFind "start_key_find",
    StartKeyInsert "start_key_insert",
    StateEnsure "state_ensure",
    StateList "state_list",
    StateSet "state_set",
    StatsExecutions "stats_executions",
    StatsTasks "stats_tasks",
    StepList "step_list",
    TaskAbove "task_above",
    TaskCount "task_count",
    TaskCountPending "task_count_pending",
    TaskCountRunning "task_count_running",
    TaskDelivered "task_delivered",
    TaskDisown "task_disown",
    TaskFind "task_find",
    TaskFinish "task_finish",
    TaskHit "task_hit",
    TaskInsert "task_insert",
    TaskList "task_list",
    TaskMarkWoken "task_mark_woken",
    TaskNextDue "task_next_due",
    TaskOutcome "task_outcome",
    TaskPage "task_page",
    TaskPageRunning "task_page_running",
    TaskPend "task_pend",
    TaskPromote "task_promote",
    TaskPromoteDue "task_promote_due",
    TaskPutAway "task_put_away",
    TaskRead "task_read",
    TaskReplay "task_replay",
    TaskRetry "task_retry",
    TaskRevive "task_revive",
    TaskSlotLeave "task_slot_leave",
    TaskStop "task_stop",
    TaskSuspend "task_suspend",
    TaskUnstart "task_unstart",
    TaskView "task_view",
    TasksCancelled "tasks_cancelled",
    TasksOpenAll "tasks_open_all",
    TasksOpenChildren "tasks_open_children",
    WaitDelete "wait_delete",
    WaitDeleteAll "wait_delete_all",
    WaitDeleteChild "wait_delete_child",
    WaitInsert "wait_insert",
    WaitLineBefore "wait_line_before",
    WaitLineEnd "wait_line_end",
    WaitList "wait_list",
    WaitNextDue "wait_next_due",
    WaitRead "wait_read",
    WaitTasksForEvent "wait_tasks_for_event",
    WaitTasksForSignal "wait_tasks_for_signal",
    // queries end
}

impl Query {
    /// The statement's text.
    pub(crate) fn text(self) -> &'static str {
        TEXTS[self as usize].1
    }
}

/// The statements of one connection during one transaction.
pub(crate) struct Statements<'c> {
    connection: &'c Connection,
    held: Vec<Option<CachedStatement<'c>>>,
}

impl<'c> Statements<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self { connection, held: (0..TEXTS.len()).map(|_| None).collect() }
    }

    /// The statement, prepared.
    pub(crate) fn get(&mut self, query: Query) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let place = &mut self.held[query as usize];
        match place {
            Some(statement) => Ok(statement),
            None => Ok(place.insert(self.connection.prepare_cached(query.text())?)),
        }
    }

    pub(crate) const fn connection(&self) -> &'c Connection {
        self.connection
    }
}
