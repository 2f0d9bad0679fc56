-- A committer before its first batch, by the primary key of committers.
INSERT INTO committers (committer, generation, last_batch) VALUES ($1::int4, $2::int8, 0)
