-- Every task of an execution that has not ended, with its owner: those below its root by tasks_open, and the root.
-- Served by tasks_open and the primary key.
SELECT task_id, session_id FROM tasks
WHERE execution_id = $1::uuid AND parent_id IS NOT NULL AND completed_at IS NULL
UNION ALL
SELECT task_id, session_id FROM tasks
WHERE execution_id = $1::uuid AND task_id = $1::uuid AND completed_at IS NULL
