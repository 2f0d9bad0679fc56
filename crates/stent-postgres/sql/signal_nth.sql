-- The n-th signal of a name that is not consumed.
-- Served by signals_waiting.
SELECT position, signal_id, payload FROM signals
WHERE execution_id = $1::uuid AND name = $2::text AND NOT consumed
ORDER BY position LIMIT 1 OFFSET $3::int8
