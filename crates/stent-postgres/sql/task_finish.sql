-- Running tasks end by their owners' word (`Complete`, `Fail`), or as lost.
-- Served by the primary key; leave tasks_owned and tasks_open, enter tasks_undelivered where their parents have to look.
UPDATE tasks t SET state = n.state, session_id = NULL, woken = false, ready = false, due = NULL, completed_at = $8::int8,
                   result = n.result, failure = n.failure, undelivered = n.undelivered IS TRUE, losses = n.losses,
                   slot = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::int4[], $5::bytea[], $6::bytea[], $7::bool[])
    AS n (execution_id, task_id, state, losses, result, failure, undelivered)
WHERE t.execution_id = n.execution_id AND t.task_id = n.task_id
