-- Deletes the oldest dead letters from before this time.
-- Served by dead_letters_age.
DELETE FROM dead_letters WHERE (execution_id, task_id) IN
    (SELECT execution_id, task_id FROM dead_letters INDEXED BY dead_letters_age WHERE moved_at < ?1
     ORDER BY moved_at, execution_id, task_id LIMIT ?2)
RETURNING execution_id, task_id
