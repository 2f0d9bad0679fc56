-- Whether a task wrote a record under this epoch. The latest are looked at first, where one is found if there is any.
-- Served by the primary key.
SELECT 1 FROM records WHERE execution_id = ?1 AND task_id = ?2 AND epoch = ?3
ORDER BY seq DESC LIMIT 1
