-- Slots are their holders' no more.
-- Served by the primary key; changes no index, so it stays within its page.
UPDATE limit_slots s SET execution_id = NULL, task_id = NULL
FROM unnest($1::text[], $2::int4[], $3::uuid[], $4::uuid[]) AS n (function, number, execution_id, task_id)
WHERE s.function = n.function AND s.number = n.number AND s.execution_id = n.execution_id AND s.task_id = n.task_id
