-- Puts a signal at the end of its line; no row changes when its id is taken.
-- Served by the primary key and signals_id.
INSERT INTO signals (execution_id, name, consumed, position, signal_id, payload, created_at)
VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6)
ON CONFLICT (execution_id, signal_id) DO NOTHING
