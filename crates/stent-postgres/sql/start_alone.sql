-- A batch of one start: the fence, the execution and its root task in one statement. Fails if the committer was bumped,
-- the id is taken, or other queues are paused or other functions limited than it goes by.
-- Served by the primary key of committers, queues_paused and limits_in_force; enters those of executions and tasks, and
-- the indexes that start_insert names.
WITH mine AS (
    UPDATE committers SET last_batch = $4::int8, seen_at = $19::int8
    WHERE instance_id = $1::uuid AND lane = $2::int2 AND generation = $3::int8
      AND ($18::text[] IS NULL OR ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
           || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function) = $18::text[])
    RETURNING 1
), started AS (
    INSERT INTO executions (execution_id, route_id, state, created_at, deadline, overdue_at, deadline_state, expire_at, run_within)
    SELECT $5::uuid, $6::int8, 0, $19::int8, $11::int8, $11::int8, $12::int2, $13::int8, $14::int8 FROM mine
), done AS (
    INSERT INTO tasks (execution_id, task_id, route_id, state, ready, rank, priority, epoch, session_id, due, on_start, created_at,
                       started_at, first_started_at, options, headers, args)
    SELECT $5::uuid, $5::uuid, $6::int8, ($9::uuid IS NOT NULL)::int4, $9::uuid IS NULL AND $10::int8 IS NULL, -($7::int4)::int8, $7::int4,
           ($9::uuid IS NOT NULL)::int4, $9::uuid, $10::int8, $15::bool IS TRUE, $19::int8, CASE WHEN $9::uuid IS NOT NULL THEN $19::int8 END,
           CASE WHEN $9::uuid IS NOT NULL THEN $19::int8 END, $16::text, $17::bytea, $8::bytea
    FROM mine
    RETURNING 1
)
SELECT 1 / count(*)::int4, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 FROM done
