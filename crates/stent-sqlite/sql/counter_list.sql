-- The counters of an execution, in order of name.
-- Served by the primary key.
SELECT name, value FROM execution_counters WHERE execution_id = ?1 ORDER BY name
