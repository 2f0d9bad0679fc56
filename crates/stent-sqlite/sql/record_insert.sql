-- Appends a record for a task whose lease was checked before; no row changes when the place is taken.
-- Served by the primary key.
INSERT INTO records (execution_id, task_id, seq, epoch, kind, run, seen, verdict, recorded_at, call_key, digest, source, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (execution_id, task_id, seq) DO NOTHING
