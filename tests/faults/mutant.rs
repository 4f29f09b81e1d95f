//! Engines broken on purpose, which the checker must catch, or its word about the real one is worth nothing.
//!
//! The engine itself holds no hook for it. A statement is broken on its way to the server, by the relay; a function of the schema is
//! broken in the database; and two are played by our own handler and enqueuer. So what is run without a mutant is what is shipped.

use std::time::Duration;

use sqlx::PgPool;

use crate::relay::Rewrite;

/// One way to break the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    CompleteById,
    TokensRepeat,
    ClaimWithoutLock,
    RescueById,
    NoAttemptCount,
    AcknowledgeFirst,
    LocalClock,
    BoundSkips,
    ReplyNeverGivenBack,
    CommitDespiteRollback,
    LimitTooHigh,
    KeyNotHeld,
}

impl Mutant {
    pub(crate) const ALL: [Self; 12] = [
        Self::CompleteById,
        Self::TokensRepeat,
        Self::ClaimWithoutLock,
        Self::RescueById,
        Self::NoAttemptCount,
        Self::AcknowledgeFirst,
        Self::LocalClock,
        Self::BoundSkips,
        Self::ReplyNeverGivenBack,
        Self::CommitDespiteRollback,
        Self::LimitTooHigh,
        Self::KeyNotHeld,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CompleteById => "complete-by-id",
            Self::TokensRepeat => "tokens-repeat",
            Self::ClaimWithoutLock => "claim-without-lock",
            Self::RescueById => "rescue-by-id",
            Self::NoAttemptCount => "no-attempt-count",
            Self::AcknowledgeFirst => "acknowledge-first",
            Self::LocalClock => "local-clock",
            Self::BoundSkips => "bound-skips",
            Self::ReplyNeverGivenBack => "reply-never-given-back",
            Self::CommitDespiteRollback => "commit-despite-rollback",
            Self::LimitTooHigh => "limit-too-high",
            Self::KeyNotHeld => "key-not-held",
        }
    }

    /// What is wrong with it, for people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::CompleteById => "jobs are completed by their id alone, whoever holds the lease",
            Self::TokensRepeat => "tokens repeat, as those of a sequence do across a server crash: only their last bit is compared",
            Self::ClaimWithoutLock => "a claim chooses jobs without locking them, and takes a moment to take them",
            Self::RescueById => "a rescue takes the jobs of a dead worker's leases whoever holds them now",
            Self::NoAttemptCount => "a claim does not count as an attempt",
            Self::AcknowledgeFirst => "the completion is committed before the effects",
            Self::LocalClock => "due jobs are found by a worker's own clock, which is an hour ahead",
            Self::BoundSkips => "the bound of a line does not wait for late commits, and no sweep finds them",
            Self::ReplyNeverGivenBack => "jobs whose claim had no answer are not given back",
            Self::CommitDespiteRollback => "an enqueue is committed although its transaction is rolled back",
            Self::LimitTooHigh => "two more jobs of a key are let in than its limit allows",
            Self::KeyNotHeld => "a unique key that is held gives a new job all the same",
        }
    }

    /// Load and faults go on for so long, unless it is caught before. What only loses jobs is seen when no more are enqueued.
    pub(crate) fn time(self) -> Duration {
        Duration::from_secs(match self {
            Self::BoundSkips | Self::ReplyNeverGivenBack => 10,
            _ => 25,
        })
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.name() == name)
    }

    /// What the relays of the workers put in place of what.
    pub(crate) fn rewrites(self) -> Vec<Rewrite> {
        let complete = include_str!("../../crates/queue/src/sql/complete_jobs.sql");
        let claim = include_str!("../../crates/queue/src/sql/claim_jobs.sql");
        let rewrite = |statement, from, to: &str| vec![Rewrite { statement, from, to: to.to_owned() }];
        match self {
            Self::CompleteById => rewrite(complete, "WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2", "WHERE l.id = f.id"),
            Self::TokensRepeat => rewrite(
                complete,
                "WHERE l.id = f.id AND l.lease = f.lease AND l.state = 2",
                "WHERE l.id = f.id AND l.lease & 1 = f.lease & 1 AND l.state = 2",
            ),
            // By their ids: since 15.15, 14.20 and the like the server itself lets go a row that is no longer at its place in the table.
            Self::ClaimWithoutLock => rewrite(
                claim,
                "WHERE j.ctid = ANY ((SELECT places_in_table FROM chosen)::tid[])",
                "WHERE j.id = ANY (ARRAY (
                    SELECT t.id FROM haulage.live_jobs AS t, pg_sleep(0.01)
                    WHERE t.ctid = ANY ((SELECT places_in_table FROM chosen)::tid[])
                ))",
            ),
            Self::RescueById => rewrite(
                include_str!("../../crates/queue/src/sql/rescue_jobs.sql"),
                "AND j.lease = (SELECT id FROM lost)\n    FOR UPDATE",
                "\n    FOR UPDATE",
            ),
            Self::NoAttemptCount => rewrite(claim, "attempt = j.attempt + 1", "attempt = j.attempt"),
            Self::LocalClock => rewrite(
                include_str!("../../crates/queue/src/sql/promote_jobs.sql"),
                "WHERE place = 0 AND run_at <= now()",
                "WHERE place = 0 AND run_at <= now() + interval '1 hour'",
            ),
            Self::BoundSkips => [
                rewrite(claim, ") AS oldest", ") + 1000000000 AS oldest"),
                rewrite(include_str!("../../crates/queue/src/sql/sweep_line.sql"), "LIMIT 1000", "LIMIT 0"),
            ]
            .concat(),
            Self::ReplyNeverGivenBack => {
                rewrite(include_str!("../../crates/queue/src/sql/beat_worker.sql"), ") AS stranded", ") * 0 AS stranded")
            }
            _ => Vec::new(),
        }
    }

    /// A function of the schema, what stands in it, and what is put in its place.
    fn function(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::ClaimWithoutLock => Some(("ready_jobs", "FOR UPDATE SKIP LOCKED", "")),
            Self::LimitTooHigh => Some(("admit_keys", "lim.max_running - (", "lim.max_running + 2 - (")),
            Self::KeyNotHeld => Some((
                "reserve_unique_key",
                "id := holder.job_id; duplicate := true; RETURN;",
                "id := nextval('haulage.live_jobs_id_seq'); duplicate := false; RETURN;",
            )),
            _ => None,
        }
    }

    /// Breaks what is broken in the database.
    pub(crate) async fn install(self, pool: &PgPool) -> anyhow::Result<()> {
        for rewrite in self.rewrites() {
            anyhow::ensure!(rewrite.statement.contains(rewrite.from), "the statement of {} has changed: {}", self.name(), rewrite.from);
        }
        let Some((name, from, to)) = self.function() else { return Ok(()) };
        let text: String = sqlx::query_scalar(
            "SELECT pg_get_functiondef(oid) FROM pg_proc
             WHERE pronamespace = 'haulage'::regnamespace AND proname = $1 ORDER BY pronargs DESC LIMIT 1",
        )
        .bind(name)
        .fetch_one(pool)
        .await?;
        anyhow::ensure!(text.contains(from), "the function haulage.{name} has changed: {from}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.replace(from, to))).execute(pool).await?;
        Ok(())
    }
}
