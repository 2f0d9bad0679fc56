-- Before anything is taken from a session: all committers of its process but the caller's own are bumped. Waits for
-- their batches that are under way, and refuses all later ones.
-- Served by the primary keys.
UPDATE committers SET generation = generation + 1
WHERE instance_id = (SELECT instance_id FROM sessions WHERE session_id = $1::uuid)
  AND NOT (instance_id = $2::uuid AND lane = $3::int2)
