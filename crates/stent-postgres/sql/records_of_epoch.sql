-- Those of the tasks that wrote a record under their present epoch.
-- Served by the primary keys.
SELECT t.execution_id, t.task_id FROM unnest($1::uuid[], $2::uuid[]) AS n (execution_id, task_id)
JOIN tasks t ON t.execution_id = n.execution_id AND t.task_id = n.task_id
WHERE EXISTS (SELECT 1 FROM records x
              WHERE x.execution_id = t.execution_id AND x.task_id = t.task_id AND x.epoch = t.epoch)
