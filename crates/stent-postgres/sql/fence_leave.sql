-- A committer that has ended in order leaves no row behind, unless a session of its process is open: what is taken from
-- that one is taken behind this row.
-- Served by the primary key and sessions_open.
DELETE FROM committers WHERE instance_id = $1::uuid AND lane = $2::int2
  AND NOT EXISTS (SELECT 1 FROM sessions WHERE is_open = 1 AND instance_id = $1::uuid)
