-- A running task ends by its owner's word (`Complete`, `Fail`), or as lost.
-- Served by the primary key; leaves tasks_owned and tasks_open, enters tasks_undelivered where its parent has to look.
UPDATE tasks SET state = ?3, session_id = NULL, woken = 0, ready = 0, due = NULL, completed_at = ?4, result = ?5, failure = ?6,
                 undelivered = ?7, losses = ?8, slot = NULL
WHERE execution_id = ?1 AND task_id = ?2
