-- The heads of these routes become running in their new owner's hands (`Claim`: only a pending task is ready): by rank,
-- then by age. What others are claiming at this moment is passed by.
-- Served by tasks_ready and the primary key; leave tasks_ready, enter tasks_owned.
WITH head AS MATERIALIZED (
    SELECT t.execution_id, t.task_id, t.rank FROM unnest($1::int8[]) AS r (route_id)
    CROSS JOIN LATERAL (SELECT execution_id, task_id, rank FROM tasks
                        WHERE ready AND route_id = r.route_id
                        ORDER BY rank, execution_id, task_id LIMIT $2::int8
                        FOR NO KEY UPDATE SKIP LOCKED) AS t
    ORDER BY t.rank, t.execution_id, t.task_id LIMIT $2::int8
)
UPDATE tasks t SET state = 1, ready = false, woken = false, session_id = $3::uuid, epoch = t.epoch + 1,
                   started_at = coalesce(t.started_at, $4::int8), first_started_at = coalesce(t.first_started_at, $4::int8)
FROM head
WHERE t.execution_id = head.execution_id AND t.task_id = head.task_id
RETURNING t.execution_id, t.task_id, t.rank, t.priority, t.epoch, t.attempt, t.run, t.losses, t.parent_id, t.created_at, t.on_start,
          t.first_started_at = $4::int8, t.options, t.headers, t.args, t.route_id,
          t.call_key, t.seen, t.digest, t.detached, t.slot, false
