-- Names the task whose body an open session is about to run, or none.
-- Served by the primary key; changes no index, so it stays within its page.
UPDATE sessions SET suspect_execution = $2::uuid, suspect_task = $3::uuid WHERE session_id = $1::uuid AND is_open = 1
