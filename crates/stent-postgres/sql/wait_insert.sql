-- Registers a wait.
-- Served by the primary key; enters waits_signal or waits_event.
INSERT INTO waits (execution_id, task_id, call_key, kind, due, queue, name, child_id, number, seen)
VALUES ($1::uuid, $2::uuid, $3::text, $4::int2, $5::int8, $6::text, $7::text, $8::uuid, $9::int8, $10::int4)
