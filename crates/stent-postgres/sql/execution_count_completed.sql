-- How many executions completed.
-- Reads the executions once.
SELECT count(*) FROM executions WHERE state = 2
