-- The records of a task behind a place, in the order of delivery.
-- Served by the primary key.
SELECT seq, call_key, kind, run, seen, digest, verdict, payload, source, recorded_at FROM records
WHERE execution_id = $1::uuid AND task_id = $2::uuid AND seq > $3::int8
ORDER BY seq
