-- What is due becomes ready, the earliest first: suspended tasks (2) with the rank of a resuming one. What others are
-- promoting at this moment is passed by.
-- Served by tasks_due and the primary key; leave tasks_due, enter tasks_ready.
WITH due AS MATERIALIZED (
    SELECT execution_id, task_id FROM tasks WHERE due <= $1::int8
    ORDER BY due, execution_id, task_id LIMIT $2::int8
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks t SET state = 0, ready = true, due = NULL, rank = CASE WHEN t.state = 2 THEN $3::int8 ELSE t.rank END
FROM due
WHERE t.execution_id = due.execution_id AND t.task_id = due.task_id
