-- Whether there are dead letters from before this time.
-- Served by dead_letters_age.
SELECT 1 FROM dead_letters WHERE moved_at < $1::int8 LIMIT 1
