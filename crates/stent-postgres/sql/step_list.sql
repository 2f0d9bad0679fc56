-- The recorded steps (0) of an execution's tasks, with what went wrong in those that failed (1).
-- Served by the primary key.
SELECT task_id, seq, call_key, CASE WHEN verdict = 1 THEN payload END, recorded_at FROM records
WHERE execution_id = $1::uuid AND kind = 0
ORDER BY task_id, seq
LIMIT $2::int8
