-- An open session says that nobody is behind it any more: others need not wait for its silence.
-- Served by the primary key; changes no index, so it stays within its page.
UPDATE sessions SET beat_at = 0 WHERE session_id = $1::uuid AND is_open = 1
