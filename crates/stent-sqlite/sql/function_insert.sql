-- Publishes a function that a session knows.
-- Served by the primary key; enters functions_limited where it has a limit.
INSERT INTO functions (session_id, name, options, max_concurrent) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (session_id, name) DO UPDATE SET options = excluded.options, max_concurrent = excluded.max_concurrent
