-- A look for the dead among the open sessions of others ($2: our own): since when the server runs, how many other
-- processes there are, who has been silent for $1 microseconds by the server's clock, whose advisory lock is missing,
-- and who was taken over in part.
-- Served by sessions_open and sessions_emptied. The locks are only looked at where there is a session to look for, and
-- once. The twin looks at lock files, each by itself.
WITH open AS MATERIALIZED (
    SELECT session_id, instance_id, beat_at, presence FROM sessions WHERE is_open = 1 AND session_id <> ALL ($2::uuid[])
)
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8,
       (SELECT count(DISTINCT o.instance_id) FROM open o),
       ARRAY(SELECT o.session_id FROM open o
             WHERE o.beat_at <= (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 - $1::int8)),
       ARRAY(SELECT o.session_id FROM open o
             WHERE o.presence IS NOT NULL
               AND o.presence NOT IN (SELECT (l.classid::int8 << 32) | l.objid::int8 FROM pg_locks l
                                      WHERE l.locktype = 'advisory' AND l.objsubid = 1
                                        AND l.database = (SELECT d.oid FROM pg_database d
                                                          WHERE d.datname = current_database()))),
       ARRAY(SELECT e.session_id FROM sessions e WHERE e.is_open = 2)
