-- Names the task whose body an open session is about to run, or none.
-- Served by the primary key.
UPDATE sessions SET suspect_execution = ?2, suspect_task = ?3 WHERE session_id = ?1 AND is_open = 1
