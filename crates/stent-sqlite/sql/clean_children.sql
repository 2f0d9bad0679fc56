-- Deletes tasks of an execution that goes, all but its root, at most ?2.
-- Served by the primary key.
DELETE FROM tasks WHERE execution_id = ?1 AND task_id IN
    (SELECT task_id FROM tasks WHERE execution_id = ?1 AND task_id <> ?1 LIMIT ?2)
