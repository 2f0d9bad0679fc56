-- The oldest event of a stream that a task has not had.
-- Served by the primary keys of events and event_cursors.
SELECT position, event_id, payload FROM events
WHERE queue = ?3 AND name = ?4
  AND position > coalesce((SELECT c.position FROM event_cursors c
                           WHERE c.execution_id = ?1 AND c.task_id = ?2 AND c.queue = ?3 AND c.name = ?4), 0)
ORDER BY position LIMIT 1
