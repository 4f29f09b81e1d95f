//! Whatever the state of the database: a job is said to be ready if and only if the claim, with the admissions before it, takes it.

use std::collections::BTreeSet;

use haulage::{
    JobId,
    store::{self, Kinds, Request},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::database;

const QUEUES: [&str; 4] = ["a", "b", "c", "d"];
const KINDS: [&str; 3] = ["k1", "k2", "k3"];
const KEYS: [&str; 4] = ["free", "t:1", "t:2", "u"];
/// Databases; HAULAGE_TEST_ROUNDS asks for more.
const ROUNDS: u64 = 60;

struct Worker {
    id: i64,
    queues: Vec<&'static str>,
    kinds: Kinds,
}

fn some<T: Copy>(rng: &mut StdRng, of: &[T], at_least: usize) -> Vec<T> {
    let many = rng.random_range(at_least..=of.len());
    of.sample(rng, many).copied().collect()
}

/// A database in a random state; returns its live workers and its jobs that wait.
async fn make(pool: &PgPool, rng: &mut StdRng, limits: bool) -> (Vec<Worker>, Vec<i64>) {
    sqlx::raw_sql("TRUNCATE haulage.live_jobs, haulage.leases, haulage.workers, haulage.queues, haulage.key_limits, haulage.key_rates, haulage.quiet_workers")
        .execute(pool)
        .await
        .unwrap();
    let mut live = Vec::new();
    for id in 1..=rng.random_range(0..=4i64) {
        let queues = some(rng, &QUEUES, 2);
        let names = some(rng, &KINDS, 2);
        let old = rng.random_bool(0.2);
        let revisions: Vec<i16> = names.iter().map(|_| rng.random_range(0..=2)).collect();
        // Dead, silent for long, or alive.
        let life = *["now()", "now()", "now()", "now() - interval '1 hour'"].choose(rng).unwrap();
        let dead = rng.random_bool(0.2);
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, heartbeat_at, dead_at)
             VALUES ($1, 'w' || $1, '0', $2, $3, $4, 600000, $5, {life}, CASE WHEN $6 THEN now() END)"
        )))
        .bind(id)
        .bind(&queues)
        .bind(vec![5; queues.len()])
        .bind(&names)
        .bind((!old).then(|| revisions.clone()))
        .bind(dead)
        .execute(pool)
        .await
        .unwrap();
        // The claim of one that is quiet is never made.
        let quiet = rng.random_bool(0.1);
        if quiet {
            sqlx::query("INSERT INTO haulage.quiet_workers (worker, by) VALUES ($1, 'ana')").bind(id).execute(pool).await.unwrap();
        }
        if life == "now()" && !dead && !quiet {
            let revisions = if old { vec![i16::MAX; names.len()] } else { revisions };
            let kinds = Kinds { names: names.into_iter().map(ToOwned::to_owned).collect(), revisions };
            live.push(Worker { id, queues, kinds });
        }
    }
    for queue in QUEUES {
        let paused = *[
            "NULL, NULL",
            "NULL, NULL",
            "now(), NULL",
            "now(), now() + interval '1 hour'",
            "now() - interval '2 hours', now() - interval '1 hour'",
        ]
        .choose(rng)
        .unwrap();
        let limited = [
            "NULL, NULL, NULL, NULL, NULL",
            "2, NULL, NULL, NULL, NULL",
            "NULL, 10, 1000000, 3, now()",
            "4, 5, 1000000, 5, now() + interval '500 s'",
        ];
        let limit = if limits { *limited.choose(rng).unwrap() } else { limited[0] };
        if rng.random_bool(0.7) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
                "INSERT INTO haulage.queues (name, paused_at, paused_until, max_running, rate_count, rate_ms, rate_burst, full_at, limited_at)
                 VALUES ('{queue}', {paused}, {limit}, now())"
            )))
            .execute(pool)
            .await
            .unwrap();
        }
    }
    for (key, limit) in [("t:*", "2, NULL, NULL, NULL"), ("t:1", "NULL, 3, 1000000, 2"), ("u", "3, 3, 1000000, 3")] {
        if limits && rng.random_bool(0.7) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
                "INSERT INTO haulage.key_limits (key, max_running, rate_count, rate_ms, rate_burst) VALUES ('{key}', {limit})"
            )))
            .execute(pool)
            .await
            .unwrap();
        }
    }
    if rng.random_bool(0.5) {
        sqlx::raw_sql(
            "INSERT INTO haulage.key_rates (key, full_at, limited_at)
             SELECT key, now() + interval '700 seconds', updated_at FROM haulage.key_limits WHERE rate_count IS NOT NULL",
        )
        .execute(pool)
        .await
        .unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..rng.random_range(10..60) {
        let (queue, kind) = (*QUEUES.choose(rng).unwrap(), *KINDS.choose(rng).unwrap());
        let key = rng.random_bool(0.4).then(|| *KEYS.choose(rng).unwrap());
        // Timed, in line, returned, held, waiting for its key, suspect, running.
        let (state, place, parked) =
            *[(0, 0, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 2, 0), (3, 3, 1), (3, 3, 2), (3, 3, 2), (3, 3, 3), (2, 1, 0), (2, 2, 0)]
                .choose(rng)
                .unwrap();
        let key = if parked == 2 { key.or(Some("u")) } else { key };
        let revision: i16 = if rng.random_bool(0.7) { 0 } else { rng.random_range(1..=3) };
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO haulage.live_jobs (queue, kind, args, priority, state, place, parked_for, limit_key, kind_revision, lease, crashes, run_at)
             VALUES ($1, $2, '{}', $3, $4, $5, nullif($6, 0), $7, $8, CASE WHEN $4 = 2 THEN 99 END, CASE WHEN $6 = 3 THEN 2 ELSE 0 END,
                 CASE WHEN $4 = 0 THEN now() + interval '1 hour' ELSE now() END) RETURNING id",
        )
        .bind(queue)
        .bind(kind)
        .bind(rng.random_range(0..4i16))
        .bind(state as i16)
        .bind(place as i16)
        .bind(parked as i16)
        .bind(key)
        .bind(revision)
        .fetch_one(pool)
        .await
        .unwrap();
        ids.push(id);
    }
    sqlx::raw_sql(
        "INSERT INTO haulage.leases (id, worker, ids) SELECT 99, 1, coalesce(array_agg(id), '{}') FROM haulage.live_jobs WHERE state = 2",
    )
    .execute(pool)
    .await
    .unwrap();
    (live, ids)
}

/// What any one of the live workers would take now: from the line, with what it lets in before if `queues`.
async fn taken(connection: &mut PgConnection, live: &[Worker]) -> BTreeSet<i64> {
    let mut taken = BTreeSet::new();
    for worker in live {
        let mut tx = connection.begin().await.unwrap();
        for queue in &worker.queues {
            store::admit_queue(&mut tx, queue, &worker.kinds).await.unwrap();
        }
        let request = Request {
            token: 1,
            worker: worker.id,
            kinds: &worker.kinds,
            queues: &worker.queues,
            wants: &vec![1_000; worker.queues.len()],
            bounds: &vec![0; 4 * worker.queues.len()],
            exempt: 0,
            in_turn: &[],
        };
        taken.extend(store::claim_jobs(&mut tx, &request).await.unwrap().jobs.iter().map(|job| job.id.0));
        let mut token = 2;
        while let Some(job) = store::claim_suspect(&mut tx, token, worker.id, &worker.kinds, &worker.queues).await.unwrap() {
            taken.insert(job.id.0);
            token += 1;
        }
        tx.rollback().await.unwrap();
    }
    taken
}

async fn waiting(connection: &mut PgConnection) -> BTreeSet<i64> {
    let ids = sqlx::query_scalar("SELECT id FROM haulage.live_jobs WHERE parked_for = 2").fetch_all(connection);
    ids.await.unwrap().into_iter().collect()
}

/// Which of the jobs that wait for their keys any one of the live workers would put in line now.
async fn admitted(connection: &mut PgConnection, live: &[Worker]) -> BTreeSet<i64> {
    let keys: Vec<String> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    let mut admitted = BTreeSet::new();
    for worker in live {
        let mut tx = connection.begin().await.unwrap();
        let before: BTreeSet<i64> = waiting(&mut tx).await;
        store::admit_keys(&mut tx, &keys, &worker.queues, &worker.kinds).await.unwrap();
        let after: BTreeSet<i64> = waiting(&mut tx).await;
        admitted.extend(before.difference(&after));
        tx.rollback().await.unwrap();
    }
    admitted
}

#[tokio::test]
async fn a_job_is_said_to_be_ready_if_and_only_if_a_claim_takes_it() {
    let pool = database().await.pool();
    let rounds = std::env::var("HAULAGE_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let (mut ready, mut closed) = (0, 0);
    for seed in 0..rounds {
        let mut rng = StdRng::seed_from_u64(seed);
        // Of rows that several have locked only their own verdict knows, not the count of those that are passed before a slot.
        let limits = seed % 4 != 0;
        let (live, ids) = make(&pool, &mut rng, limits).await;
        // Somebody has some of the rows, alone or with others.
        let mut strangers = [pool.begin().await.unwrap(), pool.begin().await.unwrap()];
        for id in &ids {
            let (who, lock) = match rng.random_range(0..10) {
                0 => (0..1, "FOR UPDATE"),
                1 => (1..2, "FOR KEY SHARE"),
                2 if !limits => (0..2, "FOR SHARE"),
                _ => continue,
            };
            for stranger in &mut strangers[who] {
                sqlx::query(sqlx::AssertSqlSafe(format!("SELECT FROM haulage.live_jobs WHERE id = $1 {lock}")))
                    .bind(id)
                    .execute(&mut **stranger)
                    .await
                    .unwrap();
            }
        }
        let mut connection = pool.acquire().await.unwrap();
        let (taken, admitted) = (taken(&mut connection, &live).await, admitted(&mut connection, &live).await);
        for id in ids {
            let verdict = haulage::why(&mut connection, JobId(id)).await.unwrap().unwrap();
            let facts: String = serde_json::to_string_pretty(&verdict).unwrap();
            let waits_for_key: bool = sqlx::query_scalar("SELECT parked_for IS NOT DISTINCT FROM 2 FROM haulage.live_jobs WHERE id = $1")
                .bind(id)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            if waits_for_key {
                // The limit of its queue is looked at when it is in line, with whatever has come there by then.
                let mut codes = std::iter::once(verdict.code).chain(verdict.also.iter().map(|other| other.code));
                let is_let_in = codes.all(|code| {
                    code.is_ready() || matches!(code.as_str(), "queue_full" | "queue_rate") || is_queue_blocked(&verdict, code)
                });
                assert_eq!(is_let_in, admitted.contains(&id), "round {seed}, job {id}: {facts}");
                continue;
            }
            assert_eq!(verdict.code.is_ready(), taken.contains(&id), "round {seed}, job {id}: {facts}");
            *(if verdict.code.is_ready() { &mut ready } else { &mut closed }) += 1;
        }
        drop(connection);
        for stranger in strangers {
            stranger.rollback().await.unwrap();
        }
    }
    assert!(ready > rounds * 2 && closed > rounds * 2, "{ready} ready, {closed} closed: the states are no test");
}

/// All slots of the queue are held, and nobody runs their jobs.
fn is_queue_blocked(verdict: &haulage::Verdict, code: haulage::WhyCode) -> bool {
    code.as_str() == "slot_blocked" && verdict.facts["what"].as_str().is_some_and(|what| what.starts_with("queue"))
}
