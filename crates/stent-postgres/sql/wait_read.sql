-- A registered wait.
-- Served by the primary key.
SELECT due, number FROM waits WHERE execution_id = $1::uuid AND task_id = $2::uuid AND call_key = $3::text
