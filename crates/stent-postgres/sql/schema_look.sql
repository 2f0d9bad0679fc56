-- What decides where the tables go and whether they can: the server, its promises, the role, and the first schema of the
-- search path that is not the server's own. One row, from the catalogs.
SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
       current_setting('server_encoding'),
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
       current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
       current_user::text, current_database()::text,
       has_database_privilege(current_database(), 'CREATE'),
       (SELECT path.name::text
        FROM unnest(current_schemas(false)) WITH ORDINALITY AS path(name, position)
        WHERE path.name::text NOT LIKE 'pg\_%' AND path.name::text <> 'information_schema'
        ORDER BY path.position
        LIMIT 1)
