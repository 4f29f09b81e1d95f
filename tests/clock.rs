//! Schedules by the clock, fired by real worker processes that are killed at the tick: through half a year with all its changes of
//! the clocks, and second by second.
//!
//! For the half year Postgres and the workers run under libfaketime, which adds to their clocks what a file says: the test sets the
//! clock from instant to instant. Timers stay real. A worker is killed inside its transaction: a trigger on `haulage.fires` waits
//! while the test holds a lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use haulage::{Missed, Schedule, declare_schedules, dev::Server};
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::{Count, database, eventually, worker};

/// Not a test: the body of the worker processes below, which are this binary started anew.
#[tokio::test]
#[ignore = "run by the other tests as a process of its own"]
async fn worker_process() {
    let Ok(url) = std::env::var("HAULAGE_TEST_CLOCK_WORKER") else { return };
    let pool = PgPool::connect(&url).await.unwrap();
    worker(&pool)
        .name(std::env::var("HAULAGE_TEST_NAME").unwrap())
        .lease(Duration::from_secs(3))
        .retention(400, 400)
        .handle(|_: Count| async {})
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
}

/// Worker processes by name. One that was killed is followed by one of another name.
struct Fleet {
    url: String,
    clock: Option<PathBuf>,
    processes: BTreeMap<String, Child>,
    killed: BTreeSet<String>,
}

impl Fleet {
    fn start(url: &str, clock: Option<PathBuf>, many: usize) -> Self {
        let mut fleet = Self { url: url.to_owned(), clock, processes: BTreeMap::new(), killed: BTreeSet::new() };
        for _ in 0..many {
            fleet.add();
        }
        fleet
    }

    fn add(&mut self) {
        let name = format!("w{}", self.processes.len() + self.killed.len());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "clock::worker_process", "--ignored", "--nocapture"])
            .env("HAULAGE_TEST_CLOCK_WORKER", &self.url)
            .env("HAULAGE_TEST_NAME", &name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(file) = &self.clock {
            command.envs(faked(file));
        }
        self.processes.insert(name, command.spawn().unwrap());
    }

    fn kill(&mut self, name: &str) {
        let mut process = self.processes.remove(name).unwrap_or_else(|| panic!("{name} does not run"));
        process.kill().unwrap(); // SIGKILL
        process.wait().unwrap();
        self.killed.insert(name.to_owned());
    }

    /// One that has run for a while.
    fn oldest(&self) -> String {
        self.processes.keys().min_by_key(|name| name[1..].parse::<u32>().unwrap()).unwrap().clone()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// Holds up whoever is about to fire.
struct Gate(PgConnection);

impl Gate {
    async fn install(pool: &PgPool, url: &str) -> Self {
        sqlx::raw_sql(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(31415); RETURN NULL; END';
             CREATE TRIGGER gate AFTER INSERT ON haulage.fires FOR EACH STATEMENT EXECUTE FUNCTION gate()",
        )
        .execute(pool)
        .await
        .unwrap();
        Self(PgConnection::connect(url).await.unwrap())
    }

    async fn close(&mut self) {
        sqlx::query("SELECT pg_advisory_lock(31415)").execute(&mut self.0).await.unwrap();
    }

    async fn open(&mut self) {
        sqlx::query("SELECT pg_advisory_unlock(31415)").execute(&mut self.0).await.unwrap();
    }

    /// The workers whose transaction waits at the gate.
    async fn held_up(&mut self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT substr(a.application_name, length('haulage ') + 1)
             FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
             WHERE l.locktype = 'advisory' AND l.objid = 31415 AND NOT l.granted AND a.datname = current_database()",
        )
        .fetch_all(&mut self.0)
        .await
        .unwrap()
    }

    /// Kills the one that fires next, in the middle.
    async fn kill_who_fires(&mut self, fleet: &mut Fleet) {
        let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
        let caught = loop {
            if let Some(name) = self.held_up().await.into_iter().find(|name| fleet.processes.contains_key(name)) {
                break name;
            }
            assert!(tokio::time::Instant::now() < deadline, "nobody came to the gate");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        fleet.kill(&caught);
        fleet.add();
        self.open().await;
    }
}

async fn wake(pool: &PgPool) {
    sqlx::query("SELECT pg_notify('haulage_due', '')").execute(pool).await.unwrap();
}

async fn clock_of(pool: &PgPool) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT now()").fetch_one(pool).await.unwrap()
}

/// Fires without a job, jobs without a fire or of the wrong instant, jobs of one instant beside the first: all zero.
async fn assert_one_job_each(pool: &PgPool) {
    let (fires, right, jobs): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*),
                count(*) FILTER (WHERE j.run_at = f.instant AND j.meta ->> 'schedule' = f.schedule
                                   AND (j.meta ->> 'instant')::timestamptz = f.instant AND j.state = 'completed'),
                (SELECT count(*) FROM haulage.jobs)
         FROM haulage.fires AS f LEFT JOIN haulage.jobs AS j ON j.id = f.job_id",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!((fires, fires), (right, jobs), "fires, against those whose job is right and completed, and all jobs");
}

#[tokio::test]
async fn each_second_fires_once_while_one_worker_after_the_other_is_killed_at_the_tick() {
    let database = database().await;
    let (pool, url) = (database.pool(), database.url());
    let mut gate = Gate::install(&pool, &url).await;
    let tick = Schedule::new("tick", "* * * * * *", Count { n: 1 }).missed(Missed::AllWithin(Duration::from_secs(300)));
    declare_schedules(&pool, "shop", [tick]).await.unwrap();
    let mut fleet = Fleet::start(&url, None, 3);
    let fired = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM haulage.fires").fetch_one(&pool).await.unwrap();
    eventually("the first has fired", async || fired().await >= 1).await;
    for round in 0..8 {
        if round % 2 == 0 {
            gate.close().await;
            gate.kill_who_fires(&mut fleet).await;
        } else {
            // Whoever it is, and wherever it stands.
            let oldest = fleet.oldest();
            fleet.kill(&oldest);
            fleet.add();
        }
        let so_far = fired().await;
        eventually("two more have fired", async || fired().await >= so_far + 2).await;
    }
    // A time that no longer comes lets the jobs be counted in peace.
    sqlx::query("UPDATE haulage.schedules SET next_at = 'infinity'").execute(&pool).await.unwrap();
    eventually("all ran, those of the killed too", async || {
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM haulage.live_jobs)").fetch_one(&pool).await.unwrap()
    })
    .await;
    let instants: Vec<DateTime<Utc>> =
        sqlx::query_scalar("SELECT instant FROM haulage.fires ORDER BY instant").fetch_all(&pool).await.unwrap();
    for pair in instants.windows(2) {
        assert_eq!(pair[1] - pair[0], TimeDelta::seconds(1), "one is missing: {instants:?}");
    }
    assert_one_job_each(&pool).await;
    assert_eq!(fleet.killed.len(), 8);
}

const ZONES: [Tz; 3] = [Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe];
/// An interval, and times of day that some zone skips in one night and has twice in another.
const EXPRESSIONS: [&str; 5] = ["*/30 * * * *", "30 2 * * *", "45 1 * * *", "15 2 * * *", "0 3 * * SUN"];
const DAYS: i64 = 200;

/// What libfaketime needs to add to a program's clock what the file says.
fn faked(clock: &std::path::Path) -> [(&'static str, String); 5] {
    // The program knows where its library is.
    let asked = Command::new("faketime").args(["-m", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"]).output();
    let asked = asked.expect("libfaketime is missing: `make setup`, or `apt-get install faketime`");
    [
        ("LD_PRELOAD", String::from_utf8(asked.stdout).unwrap().trim().to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // Timers go on as they are.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DISABLE_SHM", "1".to_owned()),
    ]
}

/// A clock that the test sets, and the folder of programs of Postgres that read it.
struct Clock {
    folder: PathBuf,
}

impl Clock {
    fn new(programs: &str) -> Self {
        // Postgres may run as another account, which has to enter.
        let folder = std::env::temp_dir().join(format!("haulage-clock-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let clock = Self { folder };
        let settings: String = faked(&clock.file()).map(|(name, value)| format!("export {name}='{value}'\n")).concat();
        for (program, settings) in [("initdb", ""), ("postgres", settings.as_str())] {
            let path = clock.folder.join(program);
            fs::write(&path, format!("#!/bin/sh\n{settings}exec '{programs}/{program}' \"$@\"\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.join("clock")
    }

    fn set(&self, to: DateTime<Utc>) {
        let ahead = (to - Utc::now()).as_seconds_f64();
        let new = self.folder.join("clock.new");
        fs::write(&new, format!("{ahead:+.6}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, self.file()).unwrap();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Each half hour around a change of some zone's clocks, and between them some hours or days at once.
fn steps(start: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let offset = |zone: Tz, at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let half_hour = TimeDelta::minutes(30);
    let all: Vec<DateTime<Utc>> = (1..=DAYS * 48).map(|n| start + half_hour * i32::try_from(n).unwrap()).collect();
    let mut changes: Vec<DateTime<Utc>> = Vec::new();
    for zone in ZONES {
        let ours: Vec<_> = all.iter().copied().filter(|at| offset(zone, *at) != offset(zone, *at - half_hour)).collect();
        assert_eq!(ours.len(), 2, "{zone} changes its clocks in autumn and in spring");
        changes.extend(ours);
    }
    let mut steps: Vec<DateTime<Utc>> = Vec::new();
    for at in &all {
        let near = changes.iter().any(|change| (*at - *change).abs() <= TimeDelta::minutes(100));
        let wait = [TimeDelta::hours(5), TimeDelta::days(3), TimeDelta::days(5)][steps.len() % 3];
        if near || *at - *steps.last().unwrap_or(&start) >= wait || at == all.last().unwrap() {
            steps.push(*at);
        }
    }
    steps
}

#[tokio::test]
async fn two_hundred_days_fire_each_instant_once_through_every_change_of_the_clocks() {
    let programs: String =
        sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetch_one(&database().await.pool()).await.unwrap();
    let clock = Clock::new(&programs);
    let start: DateTime<Utc> = "2026-09-25T00:00:00Z".parse().unwrap();
    clock.set(start);
    let builder = Server::builder().bin_dir(&clock.folder);
    let server = tokio::task::spawn_blocking(move || builder.start()).await.unwrap().unwrap();
    let pool = PgPool::connect(server.url()).await.unwrap();
    haulage::migrate(&pool).await.unwrap();
    let mut gate = Gate::install(&pool, server.url()).await;
    assert!((clock_of(&pool).await - start).abs() < TimeDelta::minutes(10), "the server's clock is not ours");

    let cases: Vec<(String, Tz, &str)> =
        ZONES.iter().flat_map(|zone| EXPRESSIONS.iter().enumerate().map(move |(n, cron)| (format!("{zone}-{n}"), *zone, *cron))).collect();
    let declared = cases.iter().map(|(name, zone, cron)| {
        Schedule::new(name, *cron, Count { n: 1 }).zone(zone.name()).missed(Missed::AllWithin(Duration::from_secs(30 * 86_400)))
    });
    declare_schedules(&pool, "shop", declared).await.unwrap();
    let from = clock_of(&pool).await;

    let mut fleet = Fleet::start(server.url(), Some(clock.file()), 3);
    let alive = async || sqlx::query_as::<_, (String, i64)>("SELECT name, id FROM haulage.workers").fetch_all(&pool).await.unwrap();
    eventually("the fleet works", async || alive().await.len() == 3).await;
    let mut registered: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut caught = 0;
    for (n, at) in steps(start).into_iter().enumerate() {
        let in_the_middle = n % 8 == 3;
        if in_the_middle {
            gate.close().await;
        }
        clock.set(at);
        wake(&pool).await;
        if in_the_middle {
            gate.kill_who_fires(&mut fleet).await;
            caught += 1;
            wake(&pool).await;
        } else if n % 8 == 7 {
            let oldest = fleet.oldest();
            fleet.kill(&oldest);
            fleet.add();
        }
        eventually("all that is due has fired", async || {
            sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM haulage.schedules WHERE next_at <= now())").fetch_one(&pool).await.unwrap()
        })
        .await;
        for (name, id) in alive().await {
            registered.entry(name).or_default().insert(id);
        }
    }
    // The steps of the clock made no living worker look dead.
    for (name, ids) in registered {
        assert_eq!(ids.len(), 1, "{name} was declared dead and registered anew");
    }
    let until = clock_of(&pool).await;
    eventually("all ran, those of the killed too", async || {
        sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM haulage.live_jobs)").fetch_one(&pool).await.unwrap()
    })
    .await;

    for (name, zone, cron) in &cases {
        let fired: Vec<DateTime<Utc>> = sqlx::query_scalar("SELECT instant FROM haulage.fires WHERE schedule = $1 ORDER BY instant")
            .bind(name)
            .fetch_all(&pool)
            .await
            .unwrap();
        let other: croner::Cron = cron.parse().unwrap();
        let expected: Vec<DateTime<Utc>> =
            other.iter_after(from.with_timezone(zone)).map(|at| at.to_utc()).take_while(|at| *at <= until).collect();
        let difference: Vec<_> = fired.iter().collect::<BTreeSet<_>>().symmetric_difference(&expected.iter().collect()).copied().collect();
        assert!(difference.is_empty(), "{name}, {cron}: {difference:?}");
        let (least, most) = if cron.starts_with('*') { (DAYS * 48, DAYS * 48) } else { (DAYS / 8, DAYS + 1) };
        assert!((least..=most).contains(&i64::try_from(fired.len()).unwrap()), "{name}: {}", fired.len());
    }
    assert_one_job_each(&pool).await;
    assert!(caught >= 10, "{caught} were killed in the middle");
    let lost: Vec<String> = sqlx::query_scalar("SELECT DISTINCT worker_name FROM haulage.attempts WHERE outcome = 'worker lost'")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(lost.iter().all(|name| fleet.killed.contains(name)), "{lost:?} beside {:?}", fleet.killed);
    drop(fleet);
    pool.close().await;
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
}
