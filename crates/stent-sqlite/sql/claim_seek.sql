-- The first route from this one on that has ready tasks, with the head of its line: what a worker does not serve is
-- leapt over, not read.
-- Served by tasks_ready.
SELECT route_id, rank, execution_id, task_id FROM tasks INDEXED BY tasks_ready
WHERE ready = 1 AND route_id >= ?1
ORDER BY route_id, rank, execution_id, task_id
LIMIT 1
