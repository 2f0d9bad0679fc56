-- Says whether a closed session still owns something: 2, else 0.
-- Served by the primary key.
UPDATE sessions SET is_open = $2::int2 WHERE session_id = $1::uuid AND is_open <> $2::int2
