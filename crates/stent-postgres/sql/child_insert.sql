-- Creates children: pending (0), running (1) in their parent's session, or ended already with a result (3). An id that is
-- taken fails the statement.
-- Enters the primary key; tasks_ready, tasks_due or tasks_owned; and tasks_open, or tasks_undelivered.
INSERT INTO tasks (execution_id, task_id, parent_id, route_id, priority, state, ready, rank, epoch, session_id, due, created_at,
                   started_at, first_started_at, completed_at, call_key, seen, digest, options, headers, args, result,
                   undelivered)
SELECT execution_id, task_id, parent_id, route_id, priority, state, state = 0 AND due IS NULL, -priority::int8,
       CASE WHEN state = 0 THEN 0 ELSE 1 END, session_id, due, $17::int8, CASE WHEN state <> 0 THEN $17::int8 END,
       CASE WHEN state <> 0 THEN $17::int8 END, CASE WHEN state = 3 THEN $17::int8 END, call_key, seen, digest, options, headers, args,
       result, undelivered IS TRUE
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int8[], $5::int4[], $6::int2[], $7::text[], $8::int4[], $9::bytea[], $10::bytea[],
            $11::uuid[], $12::int8[], $13::text[], $14::bytea[], $15::bytea[], $16::bool[])
    AS n (execution_id, task_id, parent_id, route_id, priority, state, call_key, seen, digest, args, session_id, due, options,
          headers, result, undelivered)
