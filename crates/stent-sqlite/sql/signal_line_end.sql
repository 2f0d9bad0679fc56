-- The place behind the last signal of a name, consumed or not.
-- Served by the primary key, once for each of the two.
SELECT max(coalesce((SELECT max(position) FROM signals WHERE execution_id = ?1 AND name = ?2 AND consumed = 0), 0),
           coalesce((SELECT max(position) FROM signals WHERE execution_id = ?1 AND name = ?2 AND consumed = 1), 0)) + 1
