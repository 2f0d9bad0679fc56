-- How many executions there are.
-- Reads the smallest index or the table once.
SELECT count(*) FROM executions
