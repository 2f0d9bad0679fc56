-- Executions whose deadline has passed, oldest deadline first.
-- Served by executions_deadline.
SELECT execution_id FROM executions WHERE overdue_at <= $1::int8
ORDER BY overdue_at, execution_id
LIMIT $2::int8
