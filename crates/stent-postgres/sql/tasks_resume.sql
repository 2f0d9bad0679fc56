-- Suspended tasks become ready with this rank (`Wake`). They are locked before.
-- Served by the primary key; leave tasks_due, enter tasks_ready.
UPDATE tasks t SET state = 0, ready = true, rank = $3::int8, due = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS n (execution_id, task_id)
WHERE t.execution_id = n.execution_id AND t.task_id = n.task_id AND t.state = 2
