-- A wait takes a signal.
-- Served by the primary key; leaves signals_waiting.
UPDATE signals SET consumed = true WHERE execution_id = $1::uuid AND name = $2::text AND position = $3::int8
