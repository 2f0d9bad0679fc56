-- One dead letter.
-- Served by the primary key.
SELECT d.execution_id, d.task_id, r.function, r.queue, t.failure, d.moved_at,
       d.task_id <> d.execution_id AND coalesce(root.state, 0) = 4 AS through_root
FROM dead_letters d
JOIN tasks t ON t.execution_id = d.execution_id AND t.task_id = d.task_id
JOIN routes r ON r.route_id = t.route_id
LEFT JOIN tasks root ON root.execution_id = d.execution_id AND root.task_id = d.execution_id
WHERE d.execution_id = $1::uuid AND d.task_id = $2::uuid
