-- A process whose committers have ended in order leaves no rows of theirs behind, unless a session of it is open: what is
-- taken from that one is taken behind these rows.
-- Served by the primary key and sessions_open.
DELETE FROM committers WHERE instance_id = $1::uuid
  AND NOT EXISTS (SELECT 1 FROM sessions WHERE is_open = 1 AND instance_id = $1::uuid)
