-- A number that changes whenever another process commits: for those whom no notification reaches.
-- Reads the table, which has a row or two for each process.
SELECT coalesce(sum(last_batch + generation), 0)::int8 FROM committers WHERE instance_id <> $1::uuid
