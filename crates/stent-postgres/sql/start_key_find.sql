-- The execution that an earlier start with this key created.
-- Served by the primary key.
SELECT execution_id FROM start_keys WHERE start_key = $1::text
