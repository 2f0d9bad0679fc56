-- A sign of life of an open session.
-- Served by the primary key.
UPDATE sessions SET beat_ms = ?2, boot_id = ?3 WHERE session_id = ?1 AND is_open = 1
