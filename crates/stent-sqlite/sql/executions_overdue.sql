-- Executions whose deadline has passed, oldest deadline first.
-- Served by executions_deadline.
SELECT execution_id, deadline_state FROM executions INDEXED BY executions_deadline
WHERE deadline IS NOT NULL AND deadline <= ?1 AND completed_at IS NULL
ORDER BY deadline, execution_id
LIMIT ?2
