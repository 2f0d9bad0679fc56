-- The open sessions, in order of id.
-- Served by sessions_open.
SELECT session_id, worker_id, host, pid, suspect_execution, suspect_task, beat_ms, boot_id
FROM sessions INDEXED BY sessions_open WHERE is_open = 1
ORDER BY session_id
