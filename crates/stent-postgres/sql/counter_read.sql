-- The value of a counter, which nobody else changes until the batch ends.
-- Served by the primary key.
SELECT whole, value FROM execution_counters WHERE execution_id = $1::uuid AND name = $2::text
FOR NO KEY UPDATE
