-- Whether a session is open, and whom it suspects.
-- Served by the primary key.
SELECT is_open, suspect_execution, suspect_task FROM sessions WHERE session_id = ?1
