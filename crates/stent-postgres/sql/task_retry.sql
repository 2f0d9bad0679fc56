-- A running task whose attempt failed becomes pending for the next one (`Retry`).
-- Served by the primary key; leaves tasks_owned, enters tasks_ready or tasks_due.
UPDATE tasks SET state = 0, ready = $4::int8 IS NULL, rank = $3::int8, due = $4::int8, session_id = NULL, woken = false, losses = 0,
                 attempt = attempt + 1, run = run + 1, started_at = NULL, failure = $5::bytea, slot = NULL
WHERE execution_id = $1::uuid AND task_id = $2::uuid
