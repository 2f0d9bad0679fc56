-- Whether a session is open, and whom it suspects. Locked: two that take it over do it one after the other.
-- Served by the primary key.
SELECT is_open, suspect_execution, suspect_task FROM sessions WHERE session_id = $1::uuid
FOR NO KEY UPDATE
