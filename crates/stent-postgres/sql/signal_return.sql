-- A signal whose wait was given up goes back to its place.
-- Served by signals_id; enters signals_waiting.
UPDATE signals SET consumed = false WHERE execution_id = $1::uuid AND signal_id = $2::uuid AND consumed
RETURNING name
