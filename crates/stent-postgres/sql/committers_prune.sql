-- Forgets the committers of processes that are gone: unseen since $1, and no session of the process is open or being
-- emptied, for which they would be bumped. A process that was only idle enters anew with its next batch.
-- Reads the tables, which have a row or two for each process; rows that are in use are passed over.
DELETE FROM committers c USING (
    SELECT instance_id, lane FROM committers
    WHERE seen_at < $1::int8 AND instance_id <> $2::uuid
      AND instance_id NOT IN (SELECT instance_id FROM sessions WHERE is_open <> 0)
    ORDER BY instance_id, lane LIMIT $3::int8
    FOR UPDATE SKIP LOCKED
) AS gone
WHERE c.instance_id = gone.instance_id AND c.lane = gone.lane
