-- The counters of an execution, in order of name. A whole one is whole in both columns.
-- Served by the primary key.
SELECT name, whole, value FROM execution_counters WHERE execution_id = $1::uuid ORDER BY name
