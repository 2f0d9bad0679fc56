-- Deletes an execution of which nothing else is left.
-- Served by the primary key; leaves executions_failed.
DELETE FROM executions WHERE execution_id = ?1
