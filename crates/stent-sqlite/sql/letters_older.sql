-- Whether there are dead letters from before this time.
-- Served by dead_letters_age.
SELECT EXISTS (SELECT 1 FROM dead_letters INDEXED BY dead_letters_age WHERE moved_at < ?1)
