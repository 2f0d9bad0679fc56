-- Deletes the roots of executions of which nothing else is left.
-- Served by the primary key.
DELETE FROM tasks t USING (SELECT unnest($1::uuid[]) AS id) AS gone WHERE t.execution_id = gone.id AND t.task_id = gone.id
