-- The oldest event of a stream that a task has not had.
-- Served by the primary keys of events and event_cursors.
SELECT position, event_id, payload FROM events
WHERE queue = $3::text AND name = $4::text
  AND position > coalesce((SELECT c.position FROM event_cursors c
                           WHERE c.execution_id = $1::uuid AND c.task_id = $2::uuid AND c.queue = $3::text AND c.name = $4::text), 0)
ORDER BY position LIMIT 1
