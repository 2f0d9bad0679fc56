-- The sessions that were taken over in part, in order of id.
-- Served by sessions_emptied.
SELECT session_id FROM sessions INDEXED BY sessions_emptied WHERE is_open = 2
ORDER BY session_id
