-- Forgets a closed session: whoever is not known is not open either.
-- Served by the primary key.
DELETE FROM sessions WHERE session_id = ?1
