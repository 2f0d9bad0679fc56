-- Forgets closed sessions with what they published: whoever is not known is not open either.
-- Served by the primary keys.
WITH published AS (DELETE FROM functions WHERE session_id = ANY ($1::uuid[]))
DELETE FROM sessions WHERE session_id = ANY ($1::uuid[])
