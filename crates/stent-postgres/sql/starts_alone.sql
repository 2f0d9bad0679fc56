-- A batch of nothing but starts: the fence, the executions and their root tasks in one statement. Fails if the committer
-- was bumped, an id is taken, or other queues are paused or other functions limited than it goes by.
-- Served by the primary key of committers, queues_paused and limits_in_force; enters those of executions and tasks, and the
-- indexes that start_insert names.
WITH mine AS (
    UPDATE committers SET last_batch = $4::int8, seen_at = $19::int8
    WHERE instance_id = $1::uuid AND lane = $2::int2 AND generation = $3::int8
      AND ($18::text[] IS NULL OR ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
           || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function) = $18::text[])
    RETURNING 1
), new AS MATERIALIZED (
    SELECT n.* FROM mine
    CROSS JOIN unnest($5::uuid[], $6::int8[], $7::int4[], $8::bytea[], $9::uuid[], $10::int8[], $11::int8[], $12::int2[], $13::int8[],
                      $14::int8[], $15::bool[], $16::text[], $17::bytea[])
        AS n (execution_id, route_id, priority, args, session_id, due, deadline, deadline_state, expire_at, run_within, on_start,
              options, headers)
), started AS (
    INSERT INTO executions (execution_id, route_id, state, created_at, deadline, overdue_at, deadline_state, expire_at, run_within)
    SELECT execution_id, route_id, 0, $19::int8, deadline, deadline, deadline_state, expire_at, run_within FROM new
), done AS (
    INSERT INTO tasks (execution_id, task_id, route_id, state, ready, rank, priority, epoch, session_id, due, on_start, created_at,
                       started_at, first_started_at, options, headers, args)
    SELECT execution_id, execution_id, route_id, (session_id IS NOT NULL)::int4, session_id IS NULL AND due IS NULL, -priority::int8,
           priority, (session_id IS NOT NULL)::int4, session_id, due, on_start IS TRUE, $19::int8,
           CASE WHEN session_id IS NOT NULL THEN $19::int8 END, CASE WHEN session_id IS NOT NULL THEN $19::int8 END, options, headers, args
    FROM new
)
SELECT 1 / count(*)::int4, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 FROM mine
