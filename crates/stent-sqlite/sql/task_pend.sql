-- A task becomes pending again: ready at once, or at its due time. The caller has asked the state machine (`Retry`,
-- `Release`, `Wake`).
-- Served by the primary key; leaves tasks_owned, enters tasks_ready or tasks_due.
UPDATE tasks SET state = 0, ready = ?3, rank = ?4, due = ?5, session_id = NULL, woken = 0, losses = ?6,
                 failure = coalesce(?7, failure), slot = NULL
WHERE execution_id = ?1 AND task_id = ?2
