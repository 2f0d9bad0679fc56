-- A task that was cancelled with its root becomes ready again with it (`Replay`).
-- Served by the primary key; leaves tasks_owned and tasks_nudged, enters tasks_ready and tasks_open.
UPDATE tasks SET state = 0, ready = 1, rank = ?3, due = NULL, losses = 0, run = run + 1, attempt = iif(?4, 1, attempt),
                 completed_at = NULL, started_at = NULL, failure = NULL, session_id = NULL, woken = 0,
                 slot = NULL
WHERE execution_id = ?1 AND task_id = ?2
