-- Ties a start key to its execution, for ever.
-- Served by the primary key.
INSERT INTO start_keys (start_key, execution_id) VALUES (?1, ?2)
