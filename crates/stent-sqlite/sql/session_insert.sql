-- A worker process appears; no row changes when its id is taken.
-- Served by the primary key.
INSERT INTO sessions (session_id, worker_id, host, pid, is_open, beat_ms, boot_id) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)
ON CONFLICT (session_id) DO NOTHING
