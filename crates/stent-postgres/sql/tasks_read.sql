-- Where many tasks stand, as task_read says it of one; locked in the order of their ids.
-- Served by the primary key.
SELECT t.execution_id, t.task_id, t.state, t.session_id, t.epoch, t.priority, t.attempt, t.run, t.losses, t.parent_id,
       t.call_key, t.seen, t.digest, t.undelivered, t.detached, t.slot, t.route_id,
       CASE WHEN starts_with(t.options, '{"memo":') THEN t.options END
FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS n (execution_id, task_id) ORDER BY 1, 2) AS n
JOIN tasks t ON t.execution_id = n.execution_id AND t.task_id = n.task_id
FOR NO KEY UPDATE OF t
