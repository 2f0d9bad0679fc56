-- Forgets what a session published.
-- Served by the primary key.
DELETE FROM functions WHERE session_id = $1::uuid
