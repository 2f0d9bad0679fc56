-- Deletes the oldest dead letters from before this time.
-- Served by dead_letters_age and the primary key.
DELETE FROM dead_letters d USING (
    SELECT execution_id, task_id FROM dead_letters WHERE moved_at < $1::int8
    ORDER BY moved_at, execution_id, task_id LIMIT $2::int8
    FOR UPDATE SKIP LOCKED
) AS old
WHERE d.execution_id = old.execution_id AND d.task_id = old.task_id
