-- A signal whose wait was given up goes back to its place.
-- Served by signals_id.
UPDATE signals SET consumed = 0 WHERE execution_id = ?1 AND signal_id = ?2 AND consumed = 1
RETURNING name
