-- The n-th signal of a name that is not consumed.
-- Served by the primary key.
SELECT position, signal_id, payload FROM signals
WHERE execution_id = ?1 AND name = ?2 AND consumed = 0
ORDER BY position LIMIT 1 OFFSET ?3
