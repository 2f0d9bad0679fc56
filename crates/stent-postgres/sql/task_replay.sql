-- A failed task becomes ready again (`Replay`).
-- Served by the primary key; enters tasks_ready, and tasks_open when it is a child.
UPDATE tasks SET state = 0, ready = true, rank = $3::int8, due = NULL, losses = 0, run = run + 1, attempt = $4::int4,
                 route_id = $5::int8, detached = $6::bool, undelivered = false, completed_at = NULL, started_at = NULL,
                 session_id = NULL, woken = false, slot = NULL
WHERE execution_id = $1::uuid AND task_id = $2::uuid
