-- As claim_tasks, where some routes are of limited functions (given apart, each with its function). Slots are taken first,
-- as many as are free and no more than may be claimed: of a lowered limit as many stay free as are still held above it.
-- Then come the heads of all lines: what needs no slot, what holds one, and of each limited function what gets one.
-- Nothing is waited for: what others are claiming at this moment, and slots in their hands, are passed by.
-- Served by tasks_ready, tasks_held, limits_in_force and the primary keys of slots and tasks; leave tasks_ready and
-- tasks_held, enter tasks_owned.
WITH free AS MATERIALIZED (
    SELECT f.function, s.number FROM (SELECT DISTINCT function FROM unnest($6::text[]) AS n (function)) AS f
    CROSS JOIN LATERAL (SELECT max_concurrent FROM limits
                        WHERE function = f.function AND max_concurrent IS NOT NULL LIMIT 1) AS l
    CROSS JOIN LATERAL (SELECT number FROM limit_slots
                        WHERE function = f.function AND number < l.max_concurrent AND task_id IS NULL
                        ORDER BY number
                        LIMIT $2::int8 OFFSET (SELECT count(*) FROM limit_slots
                                               WHERE function = f.function AND number >= l.max_concurrent
                                                 AND task_id IS NOT NULL)
                        FOR NO KEY UPDATE SKIP LOCKED) AS s
), slots AS MATERIALIZED (
    SELECT function, number, row_number() OVER (PARTITION BY function ORDER BY number) AS place FROM free
), lines AS MATERIALIZED (
    SELECT r.route_id, r.function, (SELECT count(*) FROM slots WHERE slots.function = r.function) AS most
    FROM unnest($5::int8[], $6::text[]) AS r (route_id, function)
), heads AS MATERIALIZED (
    SELECT t.execution_id, t.task_id, t.rank, NULL::text AS function FROM unnest($1::int8[]) AS r (route_id)
    CROSS JOIN LATERAL (SELECT execution_id, task_id, rank FROM tasks
                        WHERE ready AND route_id = r.route_id
                        ORDER BY rank, execution_id, task_id LIMIT $2::int8
                        FOR NO KEY UPDATE SKIP LOCKED) AS t
    UNION ALL
    SELECT t.execution_id, t.task_id, t.rank, NULL FROM lines
    CROSS JOIN LATERAL (SELECT execution_id, task_id, rank FROM tasks
                        WHERE ready AND slot IS NOT NULL AND route_id = lines.route_id
                        ORDER BY rank, execution_id, task_id LIMIT $2::int8
                        FOR NO KEY UPDATE SKIP LOCKED) AS t
    UNION ALL
    SELECT t.execution_id, t.task_id, t.rank, lines.function FROM lines
    CROSS JOIN LATERAL (SELECT execution_id, task_id, rank FROM tasks
                        WHERE ready AND slot IS NULL AND route_id = lines.route_id
                        ORDER BY rank, execution_id, task_id LIMIT least($2::int8, lines.most)
                        FOR NO KEY UPDATE SKIP LOCKED) AS t
), ranked AS MATERIALIZED (
    SELECT heads.*, row_number() OVER (PARTITION BY function ORDER BY rank, execution_id, task_id) AS place FROM heads
), head AS MATERIALIZED (
    SELECT r.execution_id, r.task_id, r.function, slots.number FROM ranked AS r
    LEFT JOIN slots ON slots.function = r.function AND slots.place = r.place
    WHERE r.function IS NULL OR slots.number IS NOT NULL
    ORDER BY r.rank, r.execution_id, r.task_id LIMIT $2::int8
), taken AS (
    UPDATE tasks t SET state = 1, ready = false, woken = false, session_id = $3::uuid, epoch = t.epoch + 1,
                       slot = coalesce(t.slot, head.number), started_at = coalesce(t.started_at, $4::int8),
                       first_started_at = coalesce(t.first_started_at, $4::int8)
    FROM head
    WHERE t.execution_id = head.execution_id AND t.task_id = head.task_id
    RETURNING t.execution_id, t.task_id, t.rank, t.priority, t.epoch, t.attempt, t.run, t.losses, t.parent_id, t.created_at,
              t.on_start, t.first_started_at = $4::int8 AS first, t.options, t.headers, t.args, t.route_id,
              t.call_key, t.seen, t.digest, t.detached, t.slot, head.number IS NOT NULL AS new_slot, head.function
), held AS (
    UPDATE limit_slots s SET execution_id = taken.execution_id, task_id = taken.task_id FROM taken
    WHERE taken.new_slot AND s.function = taken.function AND s.number = taken.slot
)
SELECT * FROM taken
