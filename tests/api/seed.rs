//! A database in which every path of the API has something to answer, with a secret wherever a text can stand.

use haulage::{Job, JobId, Schedule, declare_schedules};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::Count;

/// Nothing that leaves the server holds it.
pub(crate) const SECRET: &str = "QQQQ";
/// JavaScript can't tell this id from the one below.
pub(crate) const FIRST: i64 = 9_007_199_254_740_993;

/// What was seeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeded {
    /// Runs on the worker 77, and was asked to stop.
    pub(crate) running: JobId,
    /// Its child, dead.
    pub(crate) dead: JobId,
    pub(crate) completed: JobId,
    pub(crate) available: JobId,
    pub(crate) held: JobId,
}

pub(crate) async fn seed(pool: &PgPool) -> Seeded {
    let text = format!("can't reach postgres://app:{SECRET}@db/x with api_key={SECRET}");
    let object = json!({ "password": SECRET, "list": [{ "api_key": [SECRET] }], "line": text, "n": 918_273_645_546_372_819_i64 });
    sqlx::query("SELECT setval('haulage.live_jobs_id_seq', $1, false)").bind(FIRST).execute(pool).await.unwrap();
    let running = Count { n: 1 }.with().queue("q").tag("eu").enqueue(pool).await.unwrap().id();
    let run = async |sql: &'static str| {
        sqlx::query(sql).bind(&text).bind(&object).bind(running.0).execute(pool).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    };
    run("UPDATE haulage.live_jobs SET state = 2, lease = 5, claimed_at = now(), failures = 1, attempt = 2, args = $2, meta = $2,
             limit_key = 'tenant:7', trace_id = '0af7651916cd43dd8448eb211c80319c',
             origin = jsonb_build_object('request_id', 'req-7', 'route', $1::text, 'access_key', $1::text) WHERE id = $3")
    .await;
    run("INSERT INTO haulage.leases (id, worker, ids) SELECT 5, 77, ARRAY[$3::bigint] WHERE $1::text <> '' AND $2::jsonb IS NOT NULL")
        .await;
    run("INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms)
         SELECT 77, 'w', '1', ARRAY['q'], ARRAY[1], ARRAY['count'], 86400000 WHERE $1::text <> '' AND $2::jsonb IS NOT NULL AND $3::bigint > 0")
    .await;
    run("INSERT INTO haulage.progress (job_id, lease, percent, message) SELECT $3, 5, 50, $1 WHERE $2::jsonb IS NOT NULL").await;
    run("INSERT INTO haulage.cancel_requests (job_id, reason) SELECT $3, $1 WHERE $2::jsonb IS NOT NULL").await;
    run("INSERT INTO haulage.attempts (job_id, attempt, outcome, error_class, message, worker_name, claimed_at)
         SELECT $3, 1, 'failed', 'smtp', $1, 'w', now() WHERE $2::jsonb IS NOT NULL")
    .await;
    run("INSERT INTO haulage.attempt_logs (job_id, attempt, ended_at, earlier, lines)
         SELECT job_id, attempt, ended_at, 0, jsonb_build_array(jsonb_build_object('before_us', 1, 'level', 'ERROR', 'target', 't', 'message',
             $1::text, 'fields', $2::jsonb)) FROM haulage.attempts WHERE job_id = $3").await;
    run("INSERT INTO haulage.finished_jobs (id, run_at, eligible_at, created_at, claimed_at, attempt, priority, failures, max_attempts, crashes,
             state, kind_revision, queue, kind, args, output, error, parent_id, root_id, worker)
         SELECT nextval('haulage.live_jobs_id_seq'), now(), now(), now(), now(), 1, 1, 1, 1, 0, s, 0, 'q', 'k', $2, $2, CASE s WHEN 6 THEN $1 END,
             $3, $3, 77 FROM unnest(ARRAY[6, 5]) AS u (s)").await;
    run(
        "INSERT INTO haulage.attempts (job_id, attempt, ended_at, outcome, error_class, message)
         SELECT id, attempt, finished_at, 'failed', 'smtp', $1 FROM haulage.finished_failed WHERE parent_id = $3 AND $2::jsonb IS NOT NULL",
    )
    .await;
    run("INSERT INTO haulage.queues (name, paused_at, paused_by, paused_why, max_running)
         SELECT 'mail', now(), 'ana', $1, 3 WHERE $3::bigint > 0 AND $2::jsonb IS NOT NULL")
    .await;
    run("INSERT INTO haulage.key_limits (key, max_running, set_by) SELECT 'tenant:7', 1, 'ana' WHERE $1::text <> '' AND $2::jsonb IS NOT NULL AND $3::bigint > 0")
        .await;
    let available = Count { n: 2 }.with().queue("mail").enqueue(pool).await.unwrap().id();
    let held = Count { n: 3 }.with().queue("a/b").enqueue(pool).await.unwrap().id();
    let ana = haulage::Operator::new("ana").because(text.as_str());
    ana.hold(pool, held).await.unwrap();
    declare_schedules(pool, "shop", vec![Schedule::new("nightly", "30 2 * * *", Count { n: 7 })]).await.unwrap();
    ana.run_schedule(pool, "nightly").await.unwrap();
    run("INSERT INTO haulage.fires (schedule, instant, job_id) SELECT 'nightly', now(), $3 WHERE $1::text <> '' AND $2::jsonb IS NOT NULL")
        .await;
    run("INSERT INTO haulage.operations (who, reason, verb, filter, up_to, failed)
         SELECT 'ana', $1, 'retry', jsonb_build_object('error', $1::text, 'args', $2::jsonb, 'root', $3::bigint), $3, jsonb_build_object($1::text, 1)")
    .await;
    run("INSERT INTO haulage.audit (who, verb, target, jobs, reason, after) VALUES ('ana', 'retry', 'queue q', ARRAY[$3], $1, $2)").await;
    let ended = async |state: i16| {
        let sql = "SELECT id FROM haulage.finished_jobs WHERE state = $1";
        JobId(sqlx::query_scalar(sql).bind(state).fetch_one(pool).await.unwrap())
    };
    Seeded { running, dead: ended(6).await, completed: ended(5).await, available, held }
}

/// The paths of the document that are read, with something of the seed in each.
pub(crate) fn places(document: &Value, seeded: &Seeded) -> Vec<String> {
    let mut places = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        let [start, rest] = ["{", "}"].map(|sign| path.find(sign));
        let Some((start, rest)) = start.zip(rest) else {
            places.push(path.clone());
            continue;
        };
        let values: Vec<String> = match path.split('/').nth(1).unwrap() {
            "jobs" => [seeded.running, seeded.dead, seeded.completed, seeded.available, seeded.held].map(|id| id.to_string()).to_vec(),
            "traces" => vec!["0af7651916cd43dd8448eb211c80319c".into(), "req-7".into(), seeded.held.to_string()],
            "queues" => vec!["q".into(), "mail".into(), "a%2Fb".into()],
            "workers" => vec!["77".into()],
            "schedules" => vec!["nightly".into()],
            "operations" => vec!["1".into()],
            other => panic!("no seed for {other}"),
        };
        places.extend(values.iter().map(|value| format!("{}{value}{}", &path[..start], &path[rest + 1..])));
    }
    places
}
