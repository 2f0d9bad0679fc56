-- The head of one route: the highest rank first, then the oldest.
-- Served by tasks_ready.
SELECT execution_id, task_id, rank, priority, epoch, attempt, run, losses, parent_id, created_at, on_start,
       first_started_at, options, headers, args, slot
FROM tasks INDEXED BY tasks_ready
WHERE ready = 1 AND route_id = ?1
ORDER BY rank, execution_id, task_id
LIMIT ?2
