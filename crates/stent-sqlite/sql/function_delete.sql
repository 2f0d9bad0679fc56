-- Forgets what a session published. Answers each name, and whether it had a limit.
-- Served by the primary key.
DELETE FROM functions WHERE session_id = ?1 RETURNING name, max_concurrent IS NOT NULL
