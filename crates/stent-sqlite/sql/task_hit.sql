-- A task that is just created ends with the result of an equal call.
-- Served by the primary key; leaves tasks_ready, tasks_due and tasks_open, enters tasks_undelivered when it is a child.
UPDATE tasks SET state = 3, ready = 0, due = NULL, completed_at = ?3, result = ?4, undelivered = ?5
WHERE execution_id = ?1 AND task_id = ?2
