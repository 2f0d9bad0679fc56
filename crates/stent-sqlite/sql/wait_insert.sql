-- Registers a wait.
-- Served by the primary key; enters waits_signal or waits_event.
INSERT INTO waits (execution_id, task_id, call_key, kind, due, queue, name, child_id, number, seen)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
