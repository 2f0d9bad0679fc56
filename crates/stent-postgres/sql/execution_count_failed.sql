-- How many executions are in one of the states that are rare.
-- Served by executions_failed.
SELECT count(*) FROM executions WHERE rare_state = $1::int2
