-- Batches that change the same keys do so one after the other: these locks, in order, come before all rows but the
-- committer's own, and go with the batch.
-- Served by no table.
SELECT pg_advisory_xact_lock(1398031726, n.lock)
FROM (SELECT DISTINCT hashtext(k.key) AS lock FROM unnest($1::text[]) AS k (key) ORDER BY lock) AS n
