-- The open sessions, in order of id. Their beats are looked at by session_gone, where the server's clock is.
-- Served by sessions_open.
SELECT session_id, worker_id, host, pid, suspect_execution, suspect_task FROM sessions
WHERE is_open = 1
ORDER BY session_id
