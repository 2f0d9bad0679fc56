-- How many waits stand before this one in the line for signals of a name.
-- Served by waits_signal.
SELECT count(*) FROM waits WHERE kind = 3 AND execution_id = $1::uuid AND name = $2::text AND number < $3::int8
