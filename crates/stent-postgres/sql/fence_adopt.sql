-- A committer enters, or finds out where it stands: its generation grows, so that nothing of an earlier one is
-- committed any more, and its last batch says what was. Waits for a batch that is under way.
-- Served by the primary key.
INSERT INTO committers AS c (instance_id, lane, generation, last_batch, seen_at) VALUES ($1::uuid, $2::int2, 1, 0, $3::int8)
ON CONFLICT (instance_id, lane) DO UPDATE SET generation = c.generation + 1, seen_at = excluded.seen_at
RETURNING generation, last_batch, (extract(epoch FROM clock_timestamp()) * 1000000)::int8
