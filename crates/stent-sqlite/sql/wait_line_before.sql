-- How many waits stand before this one in the line for signals of a name.
-- Served by waits_signal.
SELECT count(*) FROM waits INDEXED BY waits_signal
WHERE kind = 3 AND execution_id = ?1 AND name = ?2 AND number < ?3
