-- The head of one route of a function that is full: only what holds a slot already can go on.
-- Served by tasks_held.
SELECT execution_id, task_id, rank, priority, epoch, attempt, run, losses, parent_id, created_at, on_start,
       first_started_at, options, headers, args, slot
FROM tasks INDEXED BY tasks_held
WHERE ready = 1 AND slot IS NOT NULL AND route_id = ?1
ORDER BY rank, execution_id, task_id
LIMIT ?2
