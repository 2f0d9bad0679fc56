-- A running task that nothing has come for is put aside until something wakes it (`Suspend`). No row changes if it has its
-- mark.
-- Served by the primary keys of tasks and waits; leaves tasks_owned, enters tasks_due where it has a due time.
UPDATE tasks SET state = 2, session_id = NULL,
                 due = (SELECT min(w.due) FROM waits w WHERE w.execution_id = $1::uuid AND w.task_id = $2::uuid)
WHERE execution_id = $1::uuid AND task_id = $2::uuid AND NOT woken
RETURNING due
