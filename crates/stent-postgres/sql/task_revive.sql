-- A task that was cancelled with its root becomes ready again with it (`Replay`).
-- Served by the primary key; leaves tasks_owned and tasks_nudged, enters tasks_ready and tasks_open.
UPDATE tasks SET state = 0, ready = true, rank = $3::int8, due = NULL, losses = 0, run = run + 1,
                 attempt = CASE WHEN $4::bool THEN 1 ELSE attempt END, completed_at = NULL, started_at = NULL, failure = NULL,
                 session_id = NULL, woken = false, slot = NULL
WHERE execution_id = $1::uuid AND task_id = $2::uuid
