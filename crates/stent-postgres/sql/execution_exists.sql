-- Whether an execution's id is taken.
-- Served by the primary key.
SELECT 1 FROM executions WHERE execution_id = $1::uuid
