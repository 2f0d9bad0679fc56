-- Deletes tasks, all but the roots, of executions that go, at most $2.
-- Served by the primary key, and by the rows' places that it finds.
DELETE FROM tasks WHERE ctid = ANY (ARRAY(SELECT ctid FROM tasks WHERE execution_id = ANY ($1::uuid[]) AND task_id <> execution_id LIMIT $2::int8))
