-- Appends records for tasks whose leases were checked. A place that is taken fails the statement.
-- Enters the primary key.
INSERT INTO records (execution_id, task_id, epoch, seq, run, seen, kind, verdict, call_key, payload, digest, source, recorded_at)
SELECT execution_id, task_id, epoch, seq, run, seen, kind, verdict, call_key, payload, digest, source, $13::int8
FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::int4[], $6::int4[], $7::int2[], $8::int2[], $9::text[],
            $10::bytea[], $11::bytea[], $12::uuid[])
    AS n (execution_id, task_id, epoch, seq, run, seen, kind, verdict, call_key, payload, digest, source)
