-- How many executions are in one of the states that are rare.
-- Served by executions_failed.
SELECT count(*) FROM executions INDEXED BY executions_failed WHERE state > 2 AND state = ?1
