-- Closes a session: whatever it sends from here on is refused.
-- Served by the primary key; leaves sessions_open.
UPDATE sessions SET is_open = 0 WHERE session_id = $1::uuid AND is_open = 1
