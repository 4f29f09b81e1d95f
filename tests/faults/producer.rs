//! A process that enqueues: in transactions that commit, roll back, stay open for long or vanish; and that operates on jobs.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use haulage::{Enqueue, EnqueueError, Job, JobId, OnConflict, Operator, Priority, Unique, Verb, enqueue_all};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{signal::unix, time::sleep};

use crate::{
    history::{Enqueued, Event, History},
    job::{Act, Blocking, Bomb, Effect, Forget, Once, Plain, TENANTS},
    mutant::Mutant,
    role::Role,
};

/// So many transactions at once.
const TASKS: u64 = 5;
/// An enqueue whose COMMIT had no answer is repeated for so long.
const REPEATS: usize = 60;
/// Jobs that may be operated on: the last ones.
const RECENT: usize = 300;

pub(crate) async fn run(role: Role) -> anyhow::Result<()> {
    let pool = role.pool(8)?;
    let producer = Arc::new(Producer {
        history: History::open(&role.folder, &role.name)?,
        recent: Mutex::default(),
        doomed: Mutex::default(),
        next: AtomicU64::new(0),
        pool,
        role,
    });
    let stop = tokio_util::sync::CancellationToken::new();
    let tasks = tokio_util::task::TaskTracker::new();
    for task in 0..TASKS {
        let (producer, stop) = (Arc::clone(&producer), stop.clone());
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(producer.role.seed.wrapping_mul(TASKS).wrapping_add(task));
            while !stop.is_cancelled() {
                producer.act(&mut random).await;
                sleep(Duration::from_millis(random.random_range(10..100))).await;
            }
        });
    }
    unix::signal(unix::SignalKind::terminate())?.recv().await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

struct Producer {
    role: Role,
    pool: PgPool,
    history: History,
    recent: Mutex<VecDeque<JobId>>,
    /// Those of them that will die of what they are told to do.
    doomed: Mutex<VecDeque<JobId>>,
    next: AtomicU64,
}

/// What was not enqueued, and whether it may have been all the same.
type Told = Result<Vec<JobId>, Enqueued>;

impl Producer {
    async fn act(&self, random: &mut StdRng) {
        // Of those that are committed late a bound can skip some.
        let choice = if self.role.plays(Mutant::BoundSkips) && random.random_bool(0.5) { 50 } else { random.random_range(0..100) };
        match choice {
            0..34 => self.enqueue(random, Ending::Commit).await,
            34..42 => self.enqueue(random, Ending::RollBack).await,
            42..46 => self.enqueue(random, Ending::Vanish).await,
            46..52 => {
                let late = Duration::from_millis(random.random_range(300..2_000));
                self.enqueue(random, Ending::Late(late)).await;
            }
            52..60 => self.bulk(random).await,
            60..66 => self.unique(random).await,
            66..72 => self.once(random).await,
            72..74 => self.bomb(random).await,
            _ => self.operate(random).await,
        }
    }

    /// A name that no other job of the run has.
    fn name(&self, kind: &str) -> String {
        let k = format!("{}-{}", self.role.name, self.next.fetch_add(1, Relaxed));
        self.history.add(Event::Enqueue { k: k.clone(), kind: kind.to_owned() });
        k
    }

    fn told(&self, ks: impl IntoIterator<Item = String>, told: &Told) {
        let how = match told {
            Ok(_) => Enqueued::Committed,
            Err(how) => *how,
        };
        for k in ks {
            self.history.add(Event::Enqueued { k, how });
        }
        if let Ok(ids) = told {
            remember(&self.recent, ids.iter().copied());
        }
    }

    /// One to three jobs in a transaction.
    async fn enqueue(&self, random: &mut StdRng, ending: Ending) {
        let mut drafts = Vec::new();
        for _ in 0..random.random_range(1..4) {
            drafts.push(self.draft(random));
        }
        let ks: Vec<String> = drafts.iter().map(|draft| draft.k.clone()).collect();
        let doomed: Vec<bool> = drafts.iter().map(|draft| draft.doomed).collect();
        let told = self.transaction(drafts, ending).await;
        self.told(ks, &told);
        let ids = told.iter().flatten().copied();
        remember(&self.doomed, ids.zip(doomed).filter(|(_, doomed)| *doomed).map(|(id, _)| id));
    }

    async fn transaction(&self, drafts: Vec<Named>, ending: Ending) -> Told {
        // Until the COMMIT is sent nothing can have been committed.
        let refused = |_| Enqueued::RolledBack;
        if ending == Ending::Vanish {
            let mut connection = PgConnection::connect(&self.role.url).await.map_err(refused)?;
            let mut tx = connection.begin().await.map_err(refused)?;
            for named in drafts {
                named.draft.enqueue(&mut tx).await.ok();
            }
            // No ROLLBACK is sent: the connection is gone.
            std::mem::forget(tx);
            drop(connection);
            return Err(Enqueued::RolledBack);
        }
        let mut tx = self.pool.begin().await.map_err(refused)?;
        let mut ids = Vec::new();
        for named in drafts {
            ids.push(named.draft.enqueue(&mut tx).await.map_err(|_| Enqueued::RolledBack)?);
        }
        match ending {
            Ending::RollBack if self.role.plays(Mutant::CommitDespiteRollback) && ids.len() == 1 => {
                tx.commit().await.ok();
                return Err(Enqueued::RolledBack);
            }
            Ending::RollBack => {
                tx.rollback().await.ok();
                return Err(Enqueued::RolledBack);
            }
            Ending::Late(time) => sleep(time).await,
            _ => {}
        }
        tx.commit().await.map_err(|_| Enqueued::Unknown)?;
        Ok(ids)
    }

    fn draft(&self, random: &mut StdRng) -> Named {
        let mut act = Act::random(random);
        // Still under way when it is too late.
        if self.role.plays(Mutant::TokensRepeat) || self.role.plays(Mutant::CompleteById) {
            act.ms = random.random_range(400..2_000);
        }
        let doomed = act.fatal || act.fail == i16::MAX;
        let (k, draft) = match random.random_range(0..10) {
            0..6 => {
                let k = self.name(Effect::KIND);
                let mut job = Effect { k: k.clone(), act }.with();
                if random.random_bool(0.2) {
                    job = job.limit_key(format!("tenant:{}", random.random_range(1..=TENANTS)));
                }
                if random.random_bool(0.2) {
                    job = job.delay(Duration::from_millis(random.random_range(100..4_000)));
                }
                if random.random_bool(0.2) {
                    job = job.priority(*[Priority::Urgent, Priority::Low, Priority::Bulk].choose(random).unwrap());
                }
                (k, Draft::Effect(job))
            }
            6..8 => {
                let k = self.name(Forget::KIND);
                (k.clone(), Draft::Forget(Forget { k, act }.with()))
            }
            8 => {
                let k = self.name(Plain::KIND);
                (k.clone(), Draft::Plain(Plain { k, act }.with()))
            }
            _ => {
                let k = self.name(Blocking::KIND);
                (
                    k.clone(),
                    Draft::Blocking(Blocking { k, act: Act { ms: act.ms.min(200), fail: act.fail.min(2), ..Act::default() } }.with()),
                )
            }
        };
        Named { k, draft, doomed }
    }

    async fn bulk(&self, random: &mut StdRng) {
        let jobs: Vec<Effect> = (0..random.random_range(5..60)).map(|_| Effect { k: self.name(Effect::KIND), act: Act::short() }).collect();
        let ks: Vec<String> = jobs.iter().map(|job| job.k.clone()).collect();
        let told = match enqueue_all(&self.pool, jobs).await {
            Ok(ids) => Ok(ids.into_iter().map(haulage::Enqueued::id).collect()),
            Err(_) => Err(Enqueued::Unknown),
        };
        self.told(ks, &told);
    }

    /// Few keys, so that they are held most of the time.
    async fn unique(&self, random: &mut StdRng) {
        let k = self.name(Effect::KIND);
        let conflict = *[OnConflict::Keep, OnConflict::Keep, OnConflict::Reschedule].choose(random).unwrap();
        let unique = Unique::by(random.random_range(0..20)).on_conflict(conflict);
        let act = Act { ms: random.random_range(0..300), ..Act::default() };
        let told = match (Effect { k: k.clone(), act }).with().unique(unique).enqueue(&self.pool).await {
            Ok(haulage::Enqueued::New(id)) => Ok(vec![id]),
            Ok(haulage::Enqueued::Duplicate(_)) => Err(Enqueued::Duplicate),
            Err(EnqueueError::Conflict(_)) => Err(Enqueued::RolledBack),
            Err(_) => Err(Enqueued::Unknown),
        };
        self.told([k], &told);
    }

    /// As the contract says: repeated under the same unique key, it is safe.
    async fn once(&self, random: &mut StdRng) {
        let k = self.name(Once::KIND);
        let act = Act::random(random);
        for _ in 0..REPEATS {
            let unique = Unique::by(&k).within(Duration::from_secs(3_600));
            let enqueued = async {
                let mut tx = self.pool.begin().await?;
                Once { k: k.clone(), act: act.clone() }.with().unique(unique).enqueue(&mut *tx).await?;
                tx.commit().await?;
                anyhow::Ok(())
            };
            if enqueued.await.is_ok() {
                return self.told([k], &Ok(Vec::new()));
            }
            sleep(Duration::from_millis(random.random_range(50..500))).await;
        }
        self.told([k], &Err(Enqueued::Unknown));
    }

    async fn bomb(&self, random: &mut StdRng) {
        if random.random_bool(0.9) {
            return;
        }
        let k = self.name(Bomb::KIND);
        let told = match (Bomb { k: k.clone(), act: Act::short() }).enqueue(&self.pool).await {
            Ok(enqueued) => Ok(vec![enqueued.id()]),
            Err(_) => Err(Enqueued::Unknown),
        };
        self.told([k], &told);
    }

    /// Whatever fits the job's state is done; the rest is refused, which is right.
    async fn operate(&self, random: &mut StdRng) {
        let Some(id) = self.recent.lock().unwrap().iter().copied().collect::<Vec<_>>().choose(random).copied() else { return };
        let operator = Operator::new("faults");
        match random.random_range(0..20) {
            0..3 => drop(haulage::cancel(&self.pool, id, "by chance").await),
            3..5 => {
                operator.hold(&self.pool, id).await.ok();
                sleep(Duration::from_millis(random.random_range(50..500))).await;
                operator.release(&self.pool, id).await.ok();
            }
            5 => drop(operator.discard(&self.pool, id).await),
            6 => drop(operator.delete(&self.pool, id).await),
            7..10 => {
                let doomed = self.doomed.lock().unwrap().pop_front();
                operator.retry(&self.pool, doomed.unwrap_or(id)).await.ok();
            }
            10..12 => drop(operator.run_now(&self.pool, id).await),
            12..14 => drop(operator.act(&self.pool, id, Verb::Reprioritise { priority: Priority::Low }).await),
            14 => drop(operator.move_to(&self.pool, id, "other").await),
            15 => drop(operator.run_again(&self.pool, id).await),
            _ => {}
        }
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    RollBack,
    Vanish,
    /// After so long.
    Late(Duration),
}

struct Named {
    k: String,
    draft: Draft,
    doomed: bool,
}

/// The last ones.
fn remember(list: &Mutex<VecDeque<JobId>>, ids: impl Iterator<Item = JobId>) {
    let mut list = list.lock().unwrap();
    list.extend(ids);
    while list.len() > RECENT {
        list.pop_front();
    }
}

enum Draft {
    Effect(Enqueue<Effect>),
    Forget(Enqueue<Forget>),
    Plain(Enqueue<Plain>),
    Blocking(Enqueue<Blocking>),
}

impl Draft {
    async fn enqueue(self, tx: &mut PgConnection) -> Result<JobId, EnqueueError> {
        let enqueued = match self {
            Self::Effect(job) => job.enqueue(tx).await,
            Self::Forget(job) => job.enqueue(tx).await,
            Self::Plain(job) => job.enqueue(tx).await,
            Self::Blocking(job) => job.enqueue(tx).await,
        };
        Ok(enqueued?.id())
    }
}
