-- The functions that open sessions know, in order of name, then age of the session.
-- Served by sessions_open and the primary key of functions.
SELECT f.name, f.options, f.max_concurrent FROM sessions s INDEXED BY sessions_open
JOIN functions f ON f.session_id = s.session_id
WHERE s.is_open = 1
ORDER BY f.name, s.session_id
