-- What a session owns, in order of id. Picked out before it is put in order: with the limit at hand the server would
-- read all tasks in that order instead.
-- Served by tasks_owned.
WITH owned AS MATERIALIZED (
    SELECT execution_id, task_id FROM tasks WHERE session_id = $1::uuid
)
SELECT execution_id, task_id FROM owned
ORDER BY execution_id, task_id
LIMIT $2::int8
