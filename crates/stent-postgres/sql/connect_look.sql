-- What a new connection asks first: which process answers, whom it sees at its other end, and whether it may write. One
-- row, no table. The other end is nothing on a unix socket.
SELECT pg_backend_pid(), host(inet_client_addr()), inet_client_port(),
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'
