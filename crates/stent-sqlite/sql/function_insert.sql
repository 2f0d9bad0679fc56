-- Publishes a function that a session knows.
-- Served by the primary key.
INSERT INTO functions (session_id, name, options) VALUES (?1, ?2, ?3)
ON CONFLICT (session_id, name) DO UPDATE SET options = excluded.options
