//! Every statement, by name: one file each in `sql/`. A connection prepares a statement at its first use and keeps it;
//! behind a pooler, where nothing outlives a transaction, each use sends the text and the types of its parameters.

use std::sync::OnceLock;

use stent_core::CallKey;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, RowStream, Statement};
use uuid::Uuid;

use crate::rows::Row;

macro_rules! queries {
    ($($name:ident $file:literal,)*) => {
        /// A statement's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Query { $($name,)* }

        /// Name and text of each, for the tests that ask the server how it would carry them out.
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
    ChildInsert "child_insert",
    ClaimGates "claim_gates",
    ClaimLimited "claim_limited",
    ClaimLook "claim_look",
    ClaimLookLimited "claim_look_limited",
    ClaimTasks "claim_tasks",
    CleanCheck "clean_check",
    CleanChildren "clean_children",
    CleanCounters "clean_counters",
    CleanCursors "clean_cursors",
    CleanExecution "clean_execution",
    CleanLock "clean_lock",
    CleanLook "clean_look",
    CleanRecords "clean_records",
    CleanRoot "clean_root",
    CleanSignals "clean_signals",
    CleanState "clean_state",
    CommittersElsewhere "committers_elsewhere",
    CommittersPrune "committers_prune",
    CounterEnsure "counter_ensure",
    CounterList "counter_list",
    CounterRead "counter_read",
    CounterSet "counter_set",
    EventCursorSet "event_cursor_set",
    EventInsert "event_insert",
    EventNext "event_next",
    EventStreamLock "event_stream_lock",
    EventStreamNext "event_stream_next",
    EventsOlder "events_older",
    EventsPrune "events_prune",
    ExecutionCount "execution_count",
    ExecutionCountCompleted "execution_count_completed",
    ExecutionCountFailed "execution_count_failed",
    ExecutionCountLive "execution_count_live",
    ExecutionEnd "execution_end",
    ExecutionEnded "execution_ended",
    ExecutionExists "execution_exists",
    ExecutionFinish "execution_finish",
    ExecutionLimits "execution_limits",
    ExecutionList "execution_list",
    ExecutionListCompleted "execution_list_completed",
    ExecutionListFailed "execution_list_failed",
    ExecutionListLive "execution_list_live",
    ExecutionLock "execution_lock",
    ExecutionReplay "execution_replay",
    ExecutionSetDeadline "execution_set_deadline",
    ExecutionView "execution_view",
    ExecutionsOverdue "executions_overdue",
    Fence "fence",
    FenceAdopt "fence_adopt",
    FenceBump "fence_bump",
    FenceLeave "fence_leave",
    FenceLine "fence_line",
    FinishAlone "finish_alone",
    FunctionDelete "function_delete",
    FunctionInsert "function_insert",
    FunctionList "function_list",
    GatesCheck "gates_check",
    HistoryArrivals "history_arrivals",
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
    LimitLock "limit_lock",
    LimitSettle "limit_settle",
    LimitView "limit_view",
    Notify "notify",
    PresenceLock "presence_lock",
    PresenceUnlock "presence_unlock",
    QueueBusy "queue_busy",
    QueueDelete "queue_delete",
    QueueList "queue_list",
    QueuePaused "queue_paused",
    QueueUpsert "queue_upsert",
    RecordAlone "record_alone",
    RecordChildren "record_children",
    RecordExists "record_exists",
    RecordInsert "record_insert",
    RecordsAlone "records_alone",
    RecordsOfEpoch "records_of_epoch",
    ReservationFree "reservation_free",
    ReservationHandOn "reservation_hand_on",
    ReservationInsert "reservation_insert",
    ReservationLineClear "reservation_line_clear",
    ReservationLineJoin "reservation_line_join",
    ReservationLineLeave "reservation_line_leave",
    ReservationLineList "reservation_line_list",
    ReservationLock "reservation_lock",
    ReservationLockOwn "reservation_lock_own",
    ReservationOrder "reservation_order",
    ReservationRead "reservation_read",
    ReservationSettle "reservation_settle",
    RouteFind "route_find",
    RouteInsert "route_insert",
    RoutesAfter "routes_after",
    ScheduleDelete "schedule_delete",
    ScheduleList "schedule_list",
    ScheduleLock "schedule_lock",
    ScheduleNext "schedule_next",
    ScheduleRead "schedule_read",
    ScheduleRest "schedule_rest",
    ScheduleSet "schedule_set",
    ScheduleTick "schedule_tick",
    SessionBeat "session_beat",
    SessionBeatAlone "session_beat_alone",
    SessionClose "session_close",
    SessionCount "session_count",
    SessionDelete "session_delete",
    SessionEmptied "session_emptied",
    SessionGone "session_gone",
    SessionInsert "session_insert",
    SessionLeave "session_leave",
    SessionList "session_list",
    SessionLock "session_lock",
    SessionNudges "session_nudges",
    SessionRead "session_read",
    SessionSuspect "session_suspect",
    SessionTasks "session_tasks",
    SessionsForgotten "sessions_forgotten",
    SignalConsume "signal_consume",
    SignalInsert "signal_insert",
    SignalNth "signal_nth",
    SignalReturn "signal_return",
    SlotFree "slot_free",
    SlotInsert "slot_insert",
    SlotLetGo "slot_let_go",
    SlotWanted "slot_wanted",
    StartAlone "start_alone",
    StartInsert "start_insert",
    StartKeyFind "start_key_find",
    StartKeyFree "start_key_free",
    StartKeyInsert "start_key_insert",
    StartKeysOrder "start_keys_order",
    StartsAlone "starts_alone",
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
    TaskList "task_list",
    TaskMarkWoken "task_mark_woken",
    TaskOutcome "task_outcome",
    TaskOwner "task_owner",
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
    TasksRead "tasks_read",
    TasksResume "tasks_resume",
    WaitDelete "wait_delete",
    WaitDeleteAll "wait_delete_all",
    WaitDeleteChild "wait_delete_child",
    WaitInsert "wait_insert",
    WaitLineBefore "wait_line_before",
    WaitLineEnd "wait_line_end",
    WaitList "wait_list",
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

/// A value that a statement is given, with the type that the server is told.
pub(crate) trait Param: ToSql + Sync {
    /// The type it is sent as.
    fn kind(&self) -> Type;
}

/// Values that know their type, alone and as the elements of an array.
pub(crate) trait Kind {
    const ONE: Type;
    const MANY: Type;
}

macro_rules! kinds {
    ($($ty:ty: $one:ident, $many:ident;)*) => {
        $(impl Kind for $ty {
            const ONE: Type = Type::$one;
            const MANY: Type = Type::$many;
        })*
    };
}

kinds! {
    Uuid: UUID, UUID_ARRAY;
    i64: INT8, INT8_ARRAY;
    i32: INT4, INT4_ARRAY;
    i16: INT2, INT2_ARRAY;
    f64: FLOAT8, FLOAT8_ARRAY;
    bool: BOOL, BOOL_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
    Vec<u8>: BYTEA, BYTEA_ARRAY;
    Blob: BYTEA, BYTEA_ARRAY;
    Key: TEXT, TEXT_ARRAY;
}

/// Bytes that are shared, not copied.
#[derive(Clone, Debug)]
pub(crate) struct Blob(pub(crate) bytes::Bytes);

impl ToSql for Blob {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        (&self.0[..]).to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&[u8] as ToSql>::accepts(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A call's key as text.
#[derive(Clone, Debug)]
pub(crate) struct Key(pub(crate) CallKey);

impl ToSql for Key {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.as_str().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<T: Kind> Kind for Option<T> {
    const ONE: Type = T::ONE;
    const MANY: Type = T::MANY;
}

impl<T: Kind + ToSql + Sync> Param for T {
    fn kind(&self) -> Type {
        T::ONE
    }
}

/// A column of a statement that writes many rows.
#[derive(Debug)]
pub(crate) struct Column<T>(pub(crate) Vec<T>);

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Column<T> {
    pub(crate) fn push(&mut self, value: T) {
        self.0.push(value);
    }
}

impl<T: Kind + ToSql + Sync> ToSql for Column<T> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.as_slice().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&[T] as ToSql>::accepts(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<T: Kind> Kind for Column<T> {
    const ONE: Type = T::MANY;
    // There are no arrays of arrays.
    const MANY: Type = T::MANY;
}

/// A column that is mostly empty: sent as an array without elements when it is so throughout, which the server fills
/// up with NULLs.
#[derive(Debug)]
pub(crate) struct Sparse<T> {
    rows: Vec<Option<T>>,
    any: bool,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), any: false }
    }
}

impl<T> Sparse<T> {
    pub(crate) fn push(&mut self, value: Option<T>) {
        self.any |= value.is_some();
        self.rows.push(value);
    }

    /// The first row's value, of a column that has one.
    pub(crate) fn first(&self) -> &Option<T> {
        &self.rows[0]
    }

    pub(crate) fn set(&mut self, row: usize, value: Option<T>) {
        self.any |= value.is_some();
        self.rows[row] = value;
    }
}

impl<T: Kind + ToSql + Sync> ToSql for Sparse<T> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let rows: &[Option<T>] = if self.any { &self.rows } else { &[] };
        rows.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&[T] as ToSql>::accepts(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<T: Kind> Kind for Sparse<T> {
    const ONE: Type = T::MANY;
    const MANY: Type = T::MANY;
}

/// What a statement is given.
pub(crate) type Params<'a> = &'a [&'a dyn Param];

/// A connection with the statements that it has prepared.
pub(crate) struct Link {
    client: Client,
    /// Whether the server itself is at the other end, so that prepared statements stay.
    is_direct: bool,
    prepared: Vec<OnceLock<Statement>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_direct", &self.is_direct).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(client: Client, is_direct: bool) -> Self {
        Self { client, is_direct, prepared: (0..TEXTS.len()).map(|_| OnceLock::new()).collect() }
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether the server itself is at the other end.
    pub(crate) const fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// The connection, for what has no name here: transactions, settings.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Prepares a statement that is about to be sent among others, so that it does not wait for an answer on the way.
    pub(crate) async fn prepare(&self, query: Query, params: Params<'_>) -> Result<(), Error> {
        if self.is_direct && self.prepared[query as usize].get().is_none() {
            self.statement(query, params).await?;
        }
        Ok(())
    }

    async fn statement(&self, query: Query, params: Params<'_>) -> Result<&Statement, Error> {
        let place = &self.prepared[query as usize];
        match place.get() {
            Some(statement) => Ok(statement),
            None => {
                let types: Vec<Type> = params.iter().map(|param| param.kind()).collect();
                let statement = self.client.prepare_typed(query.text(), &types).await?;
                Ok(place.get_or_init(|| statement))
            }
        }
    }

    /// The rows that a statement answers.
    pub(crate) async fn query(&self, query: Query, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let rows = if self.is_direct {
            let statement = self.statement(query, params).await?;
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect();
            self.client.query(statement, &params).await?
        } else {
            self.client.query_typed(query.text(), &typed(params)).await?
        };
        Ok(rows.into_iter().map(Row::Ours).collect())
    }

    /// The rows that a statement answers, as they come.
    pub(crate) async fn stream(&self, query: Query, params: Params<'_>) -> Result<RowStream, Error> {
        if self.is_direct {
            let statement = self.statement(query, params).await?;
            self.client.query_raw(statement, params.iter().map(|param| *param as &(dyn ToSql + Sync))).await
        } else {
            self.client.query_typed_raw(query.text(), typed(params)).await
        }
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&self, query: Query, params: Params<'_>) -> Result<u64, Error> {
        if self.is_direct {
            let statement = self.statement(query, params).await?;
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect();
            self.client.execute(statement, &params).await
        } else {
            self.client.execute_typed(query.text(), &typed(params)).await
        }
    }
}

pub(crate) fn typed<'a>(params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (*param as &(dyn ToSql + Sync), param.kind())).collect()
}
