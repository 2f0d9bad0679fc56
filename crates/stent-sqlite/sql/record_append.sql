-- Appends a record if the lease stands: the task runs (1), in this session's hands, under this epoch. No row changes
-- when it does not, or when the place is taken.
-- Served by the primary keys of tasks and records.
INSERT OR IGNORE INTO records (execution_id, task_id, seq, epoch, kind, run, seen, verdict, recorded_at, call_key, digest, payload, source)
SELECT ?1, ?2, ?5, ?4, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
FROM tasks WHERE execution_id = ?1 AND task_id = ?2 AND state = 1 AND session_id = ?3 AND epoch = ?4
