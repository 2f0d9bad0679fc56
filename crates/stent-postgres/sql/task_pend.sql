-- A task becomes pending again: ready at once, or at its due time. The caller has asked the state machine (`Retry`,
-- `Release`, `Wake`).
-- Served by the primary key; leaves tasks_owned, enters tasks_ready or tasks_due.
UPDATE tasks SET state = 0, ready = $4::int8 IS NULL, rank = $3::int8, due = $4::int8, session_id = NULL, woken = false,
                 losses = $5::int4, failure = coalesce($6::bytea, failure), slot = NULL
WHERE execution_id = $1::uuid AND task_id = $2::uuid
