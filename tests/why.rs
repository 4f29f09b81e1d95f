//! Why a job does not run: one state for each code, made for real; the sentence; and the first fix, which helps.

#[cfg(all(feature = "dashboard", feature = "cli", feature = "dev"))]
#[path = "why/clicked.rs"]
mod clicked;
#[path = "why/finished.rs"]
mod finished;
#[path = "why/fleet.rs"]
mod fleet;
#[path = "why/gates.rs"]
mod gates;
#[path = "why/property.rs"]
mod property;
#[path = "why/running.rs"]
mod running;
#[path = "why/states.rs"]
mod states;

use std::time::Duration;

use haulage::{Cause, JobId, JobState, NamedJob, Verdict, WhyCode, WorkerHandle, enqueue_named};
use sqlx::{Connection, PgConnection, PgPool};

use crate::support::{Count, ana, eventually, text::pattern, wait_for_state, worker};

/// A state that a code tells of.
struct Made {
    /// Whose page tells of it; `None`: only the fleet's.
    job: Option<JobId>,
    /// What is said, with `*` for what differs.
    sentence: String,
    workers: Vec<WorkerHandle>,
    /// Whoever stands in the way.
    sessions: Vec<PgConnection>,
}

impl Made {
    fn of(job: JobId, sentence: impl Into<String>) -> Self {
        Self { job: Some(job), ..Self::of_the_fleet(sentence) }
    }

    fn of_the_fleet(sentence: impl Into<String>) -> Self {
        Self { job: None, sentence: sentence.into(), workers: Vec::new(), sessions: Vec::new() }
    }

    fn beside(mut self, worker: WorkerHandle) -> Self {
        self.workers.push(worker);
        self
    }

    fn before(mut self, session: PgConnection) -> Self {
        self.sessions.push(session);
        self
    }

    fn id(&self) -> JobId {
        self.job.unwrap()
    }

    fn is_said(&self, verdict: &Verdict, code: WhyCode) {
        said(verdict, code, &self.sentence);
    }

    async fn end(self) {
        for worker in self.workers {
            worker.shutdown().await;
        }
    }
}

/// What is said about a job.
async fn why(pool: &PgPool, id: JobId) -> Verdict {
    why_in(&mut pool.acquire().await.unwrap(), id).await
}

/// The same on this connection: in a transaction, whose clock stands still, times are exact however slow the machine is.
async fn why_in(connection: &mut PgConnection, id: JobId) -> Verdict {
    let verdict = haulage::why(connection, id).await.unwrap();
    let verdict = verdict.unwrap_or_else(|| panic!("nothing is said of job {id}"));
    understood(&verdict);
    verdict
}

/// What is said about the fleet.
async fn causes(pool: &PgPool) -> Vec<Cause> {
    causes_in(&mut pool.acquire().await.unwrap()).await
}

async fn causes_in(connection: &mut PgConnection) -> Vec<Cause> {
    let causes = haulage::causes(connection).await.unwrap().causes;
    causes.iter().for_each(|cause| understood(&cause.verdict));
    causes
}

/// Whether a shell and the command take what the fixes say, each once.
fn understood(verdict: &Verdict) {
    static ASKED: std::sync::Mutex<std::collections::BTreeSet<String>> = std::sync::Mutex::new(std::collections::BTreeSet::new());
    if !cfg!(feature = "cli") {
        return;
    }
    for fix in verdict.fixes.iter().filter(|fix| fix.command.starts_with("haulage ")) {
        let known: String = fix.command.chars().filter(|c| !c.is_ascii_digit()).collect();
        if !ASKED.lock().unwrap().insert(known) {
            continue;
        }
        assert!(!fix.command.contains('\n'), "{fix:?}");
        let call = fix.command.replacen("haulage", "exec \"$HAULAGE\"", 1);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &call]).env("HAULAGE", env!("CARGO_BIN_EXE_haulage")).env("USER", "ana").env("DATABASE_URL", "none");
        let answer = shell.output().unwrap();
        let said = String::from_utf8_lossy(&answer.stderr);
        // 2: it does not understand its arguments.
        assert_eq!(answer.status.code(), Some(1), "{}: {said}", fix.command);
    }
}

async fn cause(pool: &PgPool, code: WhyCode) -> Option<Cause> {
    cause_in(&mut pool.acquire().await.unwrap(), code).await
}

async fn cause_in(connection: &mut PgConnection, code: WhyCode) -> Option<Cause> {
    causes_in(connection).await.into_iter().find(|cause| cause.verdict.code == code)
}

/// Waits for a cause.
async fn some_cause(pool: &PgPool, code: WhyCode) -> Cause {
    eventually(&format!("{code} is a cause"), async || cause(pool, code).await.is_some()).await;
    cause(pool, code).await.unwrap()
}

/// Does what the first fix says, through the library.
async fn fix(pool: &PgPool, verdict: &Verdict) {
    let fix = verdict.fixes.first().unwrap_or_else(|| panic!("{verdict:#?} has no fix"));
    let act = fix.act.as_ref().unwrap_or_else(|| panic!("{fix:?} is not done in the database"));
    assert!(ana().because("it was proposed").apply(pool, act).await.unwrap(), "{fix:?} changed nothing");
}

fn said(verdict: &Verdict, code: WhyCode, sentence: &str) {
    assert_eq!(verdict.code, code, "{verdict:#?}");
    assert!(pattern(sentence, &verdict.sentence), "{:?} is not {sentence:?}", verdict.sentence);
}

/// A worker that does what it is given at once, of the queues "default" and "mail".
async fn quick(pool: &PgPool) -> WorkerHandle {
    worker(pool).queue("mail", 2).handle(|_: Count| async {}).build().unwrap().start().await.unwrap()
}

/// As those of the other tests, and without a queue.
fn plain(pool: &PgPool) -> haulage::Builder {
    haulage::Worker::builder(pool.clone())
        .heartbeat(Duration::from_millis(100))
        .lease(Duration::from_millis(1_500))
        .backoff(|_| Duration::from_millis(10))
}

/// A worker whose row lives and that claims nothing: the test is in its place.
async fn idle_worker(pool: &PgPool, slots: i32) {
    sqlx::query(
        "INSERT INTO haulage.workers (id, name, version, queues, slots, kinds, lease_ms, revisions, started_at)
         VALUES (7, 'idle', '0', '{default}', ARRAY[$1], '{count,report}', 600000, '{0,0}', now() - interval '1 hour')",
    )
    .bind(slots)
    .execute(pool)
    .await
    .unwrap();
}

/// It claims so many jobs by the real statement, and nobody runs them.
async fn claim(pool: &PgPool, jobs: usize) {
    let kinds = [("count".to_owned(), 0), ("report".to_owned(), 0)].into_iter().collect();
    let request = haulage::store::Request {
        token: 42,
        worker: 7,
        kinds: &kinds,
        queues: &["default"],
        wants: &[10],
        bounds: &[0, 0, 0, 0],
        exempt: 0,
        in_turn: &[],
    };
    let claim = haulage::store::claim_jobs(&mut pool.acquire().await.unwrap(), &request).await.unwrap();
    assert_eq!(claim.jobs.len(), jobs);
}

/// A worker whose jobs never end by themselves.
async fn busy(pool: &PgPool, slots: usize) -> WorkerHandle {
    let handler = |_: Count| async { std::future::pending::<()>().await };
    plain(pool).queue("default", slots).shutdown_grace(Duration::ZERO).handle(handler).build().unwrap().start().await.unwrap()
}

/// A session of its own, under a name.
async fn session(pool: &PgPool, name: &str) -> PgConnection {
    PgConnection::connect_with(&pool.connect_options().as_ref().clone().application_name(name)).await.unwrap()
}

async fn enqueue(pool: &PgPool, queue: &str, kind: &str) -> JobId {
    enqueue_named(pool, &NamedJob::new(kind, serde_json::json!({ "n": 1 })).queue(queue)).await.unwrap().id()
}

async fn completes(pool: &PgPool, id: JobId) {
    wait_for_state(pool, id, JobState::Completed).await;
}

/// Makes the job look as if it had come so long ago.
async fn age(pool: &PgPool, id: JobId, seconds: i32) {
    sqlx::query(
        "UPDATE haulage.live_jobs SET eligible_at = now() - make_interval(secs => $2), created_at = now() - make_interval(secs => $2)
         WHERE id = $1",
    )
    .bind(id.0)
    .bind(f64::from(seconds))
    .execute(pool)
    .await
    .unwrap();
}

#[test]
fn every_code_is_on_the_page_and_has_a_test() {
    let page = include_str!("../docs/why.md");
    let tests = [
        include_str!("why/finished.rs"),
        include_str!("why/fleet.rs"),
        include_str!("why/gates.rs"),
        include_str!("why/running.rs"),
        include_str!("why/states.rs"),
    ]
    .concat();
    for code in WhyCode::ALL {
        assert!(page.contains(&format!("`{code}`")), "docs/why.md does not tell of {code}");
        assert!(tests.contains(&format!("WhyCode::{code:?}")), "no test makes {code}");
        assert_eq!(code.as_str().parse(), Ok(*code));
    }
}
