-- The state values of an execution, in order of name.
-- Served by the primary key.
SELECT name, value FROM execution_state WHERE execution_id = $1::uuid ORDER BY name
