-- The value of a counter.
-- Served by the primary key.
SELECT value FROM execution_counters WHERE execution_id = ?1 AND name = ?2
