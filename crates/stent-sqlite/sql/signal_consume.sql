-- A wait takes a signal.
-- Served by the primary key.
UPDATE signals SET consumed = 1 WHERE execution_id = ?1 AND name = ?2 AND consumed = 0 AND position = ?3
