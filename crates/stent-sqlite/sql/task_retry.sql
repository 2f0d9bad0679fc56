-- A running task whose attempt failed becomes pending for the next one (`Retry`).
-- Served by the primary key; leaves tasks_owned, enters tasks_ready or tasks_due.
UPDATE tasks SET state = 0, ready = ?3, rank = ?4, due = ?5, session_id = NULL, woken = 0, losses = 0, attempt = attempt + 1,
                 run = run + 1, started_at = NULL, failure = ?6, slot = NULL
WHERE execution_id = ?1 AND task_id = ?2
