-- A committer that has ended in order leaves no row behind.
-- Served by the primary key.
DELETE FROM committers WHERE instance_id = $1::uuid AND lane = $2::int2
