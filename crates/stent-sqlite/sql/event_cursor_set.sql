-- Remembers how far a task has read a stream.
-- Served by the primary key.
INSERT INTO event_cursors (execution_id, task_id, queue, name, position) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (execution_id, task_id, queue, name) DO UPDATE SET position = excluded.position
