-- Creates executions with their root tasks: pending (ready or delayed), or running in the hands of their first owner. An
-- id that is taken fails the statement.
-- Enters the primary keys, executions_deadline where there is one, and tasks_ready, tasks_due or tasks_owned.
WITH new AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int4[], $4::bytea[], $5::uuid[], $6::int8[], $7::int8[], $8::int2[], $9::int8[],
                         $10::int8[], $11::bool[], $12::text[], $13::bytea[])
        AS n (execution_id, route_id, priority, args, session_id, due, deadline, deadline_state, expire_at, run_within, on_start,
              options, headers)
), started AS (
    INSERT INTO executions (execution_id, route_id, state, created_at, deadline, overdue_at, deadline_state, expire_at, run_within)
    SELECT execution_id, route_id, 0, $14::int8, deadline, deadline, deadline_state, expire_at, run_within FROM new
)
INSERT INTO tasks (execution_id, task_id, route_id, state, ready, rank, priority, epoch, session_id, due, on_start, created_at,
                   started_at, first_started_at, options, headers, args)
SELECT execution_id, execution_id, route_id, (session_id IS NOT NULL)::int4, session_id IS NULL AND due IS NULL, -priority::int8,
       priority, (session_id IS NOT NULL)::int4, session_id, due, on_start IS TRUE, $14::int8,
       CASE WHEN session_id IS NOT NULL THEN $14::int8 END, CASE WHEN session_id IS NOT NULL THEN $14::int8 END, options, headers, args
FROM new
