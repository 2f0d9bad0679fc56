-- The steps of a batch: a record goes in only if its task's epoch is still the claim's. By the primary keys of tasks and
-- records.
INSERT INTO records (task, key, payload)
SELECT n.task, n.key, n.payload
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::int8[]) AS n (task, key, payload, epoch)
JOIN tasks t ON t.task = n.task AND t.epoch = n.epoch
