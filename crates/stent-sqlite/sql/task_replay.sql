-- A failed task becomes ready again (`Replay`).
-- Served by the primary key; enters tasks_ready, and tasks_open when it is a child.
UPDATE tasks SET state = 0, ready = 1, rank = ?3, due = NULL, losses = 0, run = run + 1, attempt = ?4, route_id = ?5,
                 detached = ?6, undelivered = 0, completed_at = NULL, started_at = NULL, session_id = NULL, woken = 0, slot = NULL
WHERE execution_id = ?1 AND task_id = ?2
