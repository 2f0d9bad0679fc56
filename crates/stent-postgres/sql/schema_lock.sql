-- One process of a database migrates at a time, to the end of its transaction. Two numbers, which is a space of its own:
-- it never meets the locks of sessions, that are one number each.
SELECT pg_advisory_xact_lock(1400137070, 0)
