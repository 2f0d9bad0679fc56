-- How many sessions are open.
-- Served by sessions_open.
SELECT count(*) FROM sessions INDEXED BY sessions_open WHERE is_open = 1
