-- A batch of nothing but records: the fence and the records in one statement. Fails if the committer was bumped.
-- Served by the primary key of committers; enters that of records.
WITH mine AS (
    UPDATE committers SET last_batch = $4::int8, seen_at = $17::int8
    WHERE instance_id = $1::uuid AND lane = $2::int2 AND generation = $3::int8
    RETURNING 1
), done AS (
    INSERT INTO records (execution_id, task_id, epoch, seq, run, seen, kind, verdict, call_key, payload, digest, source, recorded_at)
    SELECT n.execution_id, n.task_id, n.epoch, n.seq, n.run, n.seen, n.kind, n.verdict, n.call_key, n.payload, n.digest, n.source, $17::int8
    FROM mine
    CROSS JOIN unnest($5::uuid[], $6::uuid[], $7::int8[], $8::int8[], $9::int4[], $10::int4[], $11::int2[], $12::int2[], $13::text[],
                      $14::bytea[], $15::bytea[], $16::uuid[])
        AS n (execution_id, task_id, epoch, seq, run, seen, kind, verdict, call_key, payload, digest, source)
)
SELECT 1 / count(*)::int4, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 FROM mine
