-- Whether an execution has ended, or is not there.
-- Served by the primary key.
SELECT 1 WHERE (SELECT completed_at IS NOT NULL FROM executions WHERE execution_id = ?1) IS NOT 0
