-- Remembers how far a task has read a stream.
-- Served by the primary key.
INSERT INTO event_cursors (execution_id, task_id, queue, name, position) VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::int8)
ON CONFLICT (execution_id, task_id, queue, name) DO UPDATE SET position = excluded.position
