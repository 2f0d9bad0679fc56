-- Ties a start key to its execution, for ever. No row changes when it is tied already; waits for whoever ties it now.
-- Served by the primary key.
INSERT INTO start_keys (start_key, execution_id) VALUES ($1::text, $2::uuid)
ON CONFLICT (start_key) DO NOTHING
