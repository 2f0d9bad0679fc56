-- Forgets which events the tasks of an execution that goes have had, at most ?2.
-- Served by the primary key.
DELETE FROM event_cursors WHERE execution_id = ?1 AND (task_id, queue, name) IN
    (SELECT task_id, queue, name FROM event_cursors WHERE execution_id = ?1 LIMIT ?2)
