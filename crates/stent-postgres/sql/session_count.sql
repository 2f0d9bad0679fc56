-- How many sessions are open.
-- Served by sessions_open.
SELECT count(*) FROM sessions WHERE is_open = 1
