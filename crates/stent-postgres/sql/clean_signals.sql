-- Deletes signals of executions that go, at most $2.
-- Served by the primary key, and by the rows' places that it finds.
DELETE FROM signals WHERE ctid = ANY (ARRAY(SELECT ctid FROM signals WHERE execution_id = ANY ($1::uuid[]) LIMIT $2::int8))
