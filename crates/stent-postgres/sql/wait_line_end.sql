-- The number behind the last wait in the line for signals of a name.
-- Served by waits_signal.
SELECT coalesce(max(number), 0) + 1 FROM waits WHERE kind = 3 AND execution_id = $1::uuid AND name = $2::text
