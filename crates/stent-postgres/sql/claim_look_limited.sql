-- The same as claim_look where some functions are limited: of such a one's route (given apart, with the function) only
-- that counts which holds a slot, unless one may be taken: see slot_free.
-- Served by tasks_ready, tasks_held, tasks_due, the primary keys of routes, sessions and slots, queues_paused and
-- limits_in_force.
SELECT EXISTS (SELECT 1 FROM tasks WHERE ready AND route_id = ANY ($1::int8[]))
           OR coalesce(next.due <= $2::int8, false)
           OR EXISTS (SELECT 1 FROM tasks WHERE ready AND slot IS NOT NULL AND route_id = ANY ($4::int8[]))
           OR EXISTS (
               SELECT 1 FROM unnest($4::int8[], $5::text[]) AS r (route_id, function)
               CROSS JOIN LATERAL (SELECT max_concurrent FROM limits
                                   WHERE function = r.function AND max_concurrent IS NOT NULL LIMIT 1) AS f
               CROSS JOIN LATERAL (SELECT 1 FROM limit_slots
                                   WHERE function = r.function AND number < f.max_concurrent AND task_id IS NULL
                                   ORDER BY number
                                   LIMIT 1 OFFSET (SELECT count(*) FROM limit_slots
                                                   WHERE function = r.function AND number >= f.max_concurrent
                                                     AND task_id IS NOT NULL)) AS s
               CROSS JOIN LATERAL (SELECT 1 FROM tasks WHERE ready AND route_id = r.route_id LIMIT 1) AS t),
       next.due,
       coalesce((SELECT route_id FROM routes ORDER BY route_id DESC LIMIT 1), 0),
       ARRAY(SELECT name FROM queues WHERE paused ORDER BY name) || ''::text
       || ARRAY(SELECT function FROM limits WHERE max_concurrent IS NOT NULL ORDER BY function),
       EXISTS (SELECT 1 FROM sessions WHERE session_id = $3::uuid AND is_open = 1)
FROM (SELECT (SELECT due FROM tasks WHERE due IS NOT NULL ORDER BY due LIMIT 1) AS due OFFSET 0) AS next
