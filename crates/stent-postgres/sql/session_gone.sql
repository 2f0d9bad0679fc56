-- A look for the dead among the open sessions of others ($2: our own): whether it was our turn to look, since when the
-- server runs, how many other processes there are, who has been silent for $1 microseconds by the server's clock, whose
-- advisory lock is missing, and who says so itself or was taken over in part.
-- Served by sessions_open and sessions_emptied. Whoever can have a session's lock for itself, which it gives back at the
-- end of the statement, knows that nobody holds it; to read the list of all locks would cost the server five times as
-- much. So two that look at the same time would each take the other for the dead: they take turns, by a lock from the
-- space of pairs, which no session's key is in. The twin looks at lock files, each by itself.
WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(1400137070, 1) AS is_ours)
SELECT (SELECT is_ours FROM turn),
       (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8,
       count(DISTINCT instance_id),
       coalesce(array_agg(session_id)
                FILTER (WHERE beat_at > 0
                              AND beat_at <= (extract(epoch FROM clock_timestamp()) * 1000000)::int8 - $1::int8), '{}'),
       coalesce(array_agg(session_id) FILTER (WHERE pg_try_advisory_xact_lock(presence)), '{}'),
       ARRAY(SELECT e.session_id FROM sessions e WHERE e.is_open = 2)
           || coalesce(array_agg(session_id) FILTER (WHERE beat_at = 0), '{}')
FROM sessions WHERE (SELECT is_ours FROM turn) AND is_open = 1 AND session_id <> ALL ($2::uuid[])
