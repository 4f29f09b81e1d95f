-- As start_reading, on a server that follows another one; and how far it has followed. $1 ms (as text). Locks: none.
SELECT
    now() AS clock,
    set_config('statement_timeout', $1::text, true),
    set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
    set_config('transaction_read_only', 'on', true),
    s.follows,
    (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint AS replayed,
    CASE
        -- Nothing to replay is no lag, however long ago the last transaction was. Only who still receives knows that.
        WHEN s.follows AND s.receives AND pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0
        WHEN s.follows THEN greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
    END::double precision AS lag_s,
    s.receives,
    CASE WHEN s.follows THEN pg_is_wal_replay_paused() ELSE false END AS paused -- an error where there is no replay
FROM (SELECT pg_is_in_recovery() AS follows, EXISTS (SELECT FROM pg_stat_wal_receiver) AS receives) AS s
