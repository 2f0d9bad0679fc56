-- Publishes a function that a session knows.
-- Served by the primary key.
INSERT INTO functions (session_id, name, options) VALUES ($1::uuid, $2::text, $3::text)
ON CONFLICT (session_id, name) DO UPDATE SET options = excluded.options
