-- Sets a counter.
-- Served by the primary key.
INSERT INTO execution_counters (execution_id, name, value) VALUES (?1, ?2, ?3)
ON CONFLICT (execution_id, name) DO UPDATE SET value = excluded.value
