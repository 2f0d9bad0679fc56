-- A running task is put aside until something wakes it (`Suspend`).
-- Served by the primary key; leaves tasks_owned, enters tasks_due where it has a due time.
UPDATE tasks SET state = 2, session_id = NULL, due = ?3
WHERE execution_id = ?1 AND task_id = ?2
