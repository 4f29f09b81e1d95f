//! Schedules: each instant once in the whole fleet, whatever dies; what is missed, overlaps or is paused follows its rule.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use haulage::{
    AuditFilter, Cron, Duty, Job, ManageError, Missed, Overlap, RunError, Schedule, ScheduleError, declare_schedules, list_audit,
    list_schedules, schedule,
};
use proptest::{prelude::*, test_runner::Config};
use sqlx::PgPool;

use crate::support::{Count, Log, ana, database, eventually, worker};

fn every_second(name: &str) -> Schedule {
    Schedule::new(name, "* * * * * *", Count { n: 1 })
}

/// As if nobody had looked for so long.
async fn set_back(pool: &PgPool, name: &str, seconds: i32) {
    sqlx::query("UPDATE haulage.schedules SET next_at = date_trunc('second', now()) - make_interval(secs => $2) WHERE name = $1")
        .bind(name)
        .bind(f64::from(seconds))
        .execute(pool)
        .await
        .unwrap();
}

async fn fires(pool: &PgPool, name: &str) -> Vec<(DateTime<Utc>, Option<i64>)> {
    sqlx::query_as("SELECT instant, job_id FROM haulage.fires WHERE schedule = $1 ORDER BY instant")
        .bind(name)
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_fleet_fires_each_instant_once_while_its_workers_come_and_go() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [every_second("tick")]).await.unwrap();
    let ran = Log::default();
    let start = async || {
        let ran = ran.clone();
        worker(&pool)
            .handle(move |_: Count| {
                let ran = ran.clone();
                async move { ran.add("ran") }
            })
            .build()
            .unwrap()
            .start()
            .await
            .unwrap()
    };
    let (first, second) = (start().await, start().await);
    eventually("two instants have fired", async || fires(&pool, "tick").await.len() >= 2).await;
    first.shutdown().await;
    let third = start().await;
    eventually("five instants have fired", async || fires(&pool, "tick").await.len() >= 5).await;
    second.shutdown().await;
    third.shutdown().await;

    let fired = fires(&pool, "tick").await;
    for pair in fired.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, TimeDelta::seconds(1), "one is missing: {fired:?}");
    }
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(jobs, i64::try_from(fired.len()).unwrap());
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM haulage.fires AS f JOIN haulage.jobs AS j ON j.id = f.job_id
         WHERE j.run_at <> f.instant OR j.meta ->> 'schedule' <> 'tick' OR (j.meta ->> 'instant')::timestamptz <> f.instant",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn an_instant_that_has_fired_never_fires_again_even_if_the_row_is_set_back() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [every_second("tick").missed(Missed::AllWithin(Duration::from_secs(60)))]).await.unwrap();
    set_back(&pool, "tick", 5).await;
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the missed ones have fired", async || fires(&pool, "tick").await.len() >= 6).await;
    set_back(&pool, "tick", 5).await;
    let before = fires(&pool, "tick").await.len();
    eventually("it has gone on", async || fires(&pool, "tick").await.len() > before + 1).await;
    worker.shutdown().await;
    let (jobs, fired): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM haulage.jobs), (SELECT count(*) FROM haulage.fires)").fetch_one(&pool).await.unwrap();
    assert_eq!(jobs, fired);
}

#[tokio::test]
async fn what_was_missed_follows_the_policy() {
    let pool = database().await.pool();
    let hourly = |name: &str| Schedule::new(name, "@hourly", Count { n: 1 });
    let day = Duration::from_secs(24 * 3_600);
    declare_schedules(
        &pool,
        "shop",
        [
            hourly("skip").missed(Missed::Skip),
            hourly("one"),
            hourly("all").missed(Missed::AllWithin(day)),
            hourly("some").missed(Missed::AllWithin(day / 6)),
        ],
    )
    .await
    .unwrap();
    // As if nobody had looked for ten hours.
    for name in ["skip", "one", "all", "some"] {
        sqlx::query("UPDATE haulage.schedules SET next_at = date_trunc('hour', now()) - interval '10 hours' WHERE name = $1")
            .bind(name)
            .execute(&pool)
            .await
            .unwrap();
    }
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("all were looked at", async || {
        list_schedules(&pool)
            .await
            .unwrap()
            .iter()
            .all(|s| s.next_at.unwrap() > s.last_at.unwrap_or_default() && s.next_at.unwrap() > Utc::now())
    })
    .await;
    worker.shutdown().await;
    assert_eq!(fires(&pool, "one").await.len(), 1);
    assert_eq!(fires(&pool, "all").await.len(), 11);
    let some = fires(&pool, "some").await.len();
    assert!((4..=5).contains(&some), "{some}");
    // At the full hour itself the last one is not missed.
    assert!(fires(&pool, "skip").await.len() <= 1);
    let last = fires(&pool, "one").await[0].0;
    assert_eq!(last, fires(&pool, "all").await.last().unwrap().0, "the last of those that were missed");
}

#[tokio::test]
async fn a_job_that_has_not_finished_holds_up_the_next_if_asked_to() {
    let pool = database().await.pool();
    declare_schedules(
        &pool,
        "shop",
        [every_second("allow"), every_second("skip").overlap(Overlap::Skip), every_second("queue").overlap(Overlap::QueueOne)],
    )
    .await
    .unwrap();
    // Nobody runs the jobs.
    let firing = worker(&pool).queue("other", 1).handle(|_: Other| async {}).build().unwrap().start().await.unwrap();
    eventually("four instants have come", async || fires(&pool, "allow").await.len() >= 4).await;
    let made = async |name: &str| fires(&pool, name).await.iter().filter(|(_, job)| job.is_some()).count();
    assert!(made("allow").await >= 4);
    assert_eq!(made("skip").await, 1);
    assert_eq!(made("queue").await, 1);
    // It runs: one may wait behind it.
    sqlx::raw_sql(
        "UPDATE haulage.live_jobs SET state = 2, place = 2, parked_for = NULL, lease = 1, claimed_at = now()
         WHERE id = (SELECT last_job FROM haulage.schedules WHERE name = 'queue')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let seen = fires(&pool, "queue").await.len();
    eventually("three more have come", async || fires(&pool, "queue").await.len() >= seen + 3).await;
    assert_eq!(made("queue").await, 2);
    firing.shutdown().await;
}

/// It moved the schedule on by a minute, and what came meanwhile was lost for those who could read it.
#[tokio::test]
async fn a_worker_that_cannot_read_a_schedule_leaves_its_instants_to_others() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [every_second("newer").missed(Missed::AllWithin(Duration::from_secs(3_600))), every_second("tick")])
        .await
        .unwrap();
    // As if a newer program had declared it.
    let next: DateTime<Utc> = sqlx::query_scalar("UPDATE haulage.schedules SET cron = '@fullmoon' WHERE name = 'newer' RETURNING next_at")
        .fetch_one(&pool)
        .await
        .unwrap();
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("the other one fires", async || fires(&pool, "tick").await.len() >= 3).await;
    assert_eq!(schedule(&pool, "newer").await.unwrap().next_at, Some(next));
    // Mended, it is read by the same worker, and nothing is missing.
    sqlx::raw_sql("UPDATE haulage.schedules SET cron = '* * * * * *' WHERE name = 'newer'").execute(&pool).await.unwrap();
    eventually("it fires", async || fires(&pool, "newer").await.len() >= 3).await;
    worker.shutdown().await;
    assert_eq!(fires(&pool, "newer").await[0].0, next);
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Other {}

impl Job for Other {
    const KIND: &'static str = "other";
}

#[tokio::test]
async fn resuming_a_schedule_that_is_not_paused_leaves_what_it_has_missed_to_be_made_up() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [Schedule::new("hourly", "@hourly", Count { n: 1 }).missed(Missed::One)]).await.unwrap();
    set_back(&pool, "hourly", 7_200).await;
    let missed = schedule(&pool, "hourly").await.unwrap().next_at;
    assert!(!ana().resume_schedule(&pool, "hourly").await.unwrap());
    assert_eq!(schedule(&pool, "hourly").await.unwrap().next_at, missed);
    assert!(list_audit(&pool, &AuditFilter::new().schedule("hourly")).await.unwrap().is_empty());

    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    eventually("what was missed has fired", async || !fires(&pool, "hourly").await.is_empty()).await;
    worker.shutdown().await;
}

#[tokio::test]
async fn what_comes_while_it_is_paused_is_not_made_up() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [every_second("tick").missed(Missed::AllWithin(Duration::from_secs(3_600)))]).await.unwrap();
    ana().because("the partner is down").pause_schedule(&pool, "tick", None).await.unwrap();
    set_back(&pool, "tick", 100).await;
    let worker = worker(&pool).handle(|_: Count| async {}).build().unwrap().start().await.unwrap();
    let status = schedule(&pool, "tick").await.unwrap();
    assert_eq!((status.paused_by.as_deref(), status.paused_why.as_deref()), (Some("ana"), Some("the partner is down")));

    let by_hand = ana().run_schedule(&pool, "tick").await.unwrap();
    eventually("the one run by hand has finished", async || haulage::job(&pool, by_hand).await.unwrap().unwrap().state.is_final()).await;
    assert!(fires(&pool, "tick").await.is_empty());
    assert!(ana().resume_schedule(&pool, "tick").await.unwrap());
    let resumed: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&pool).await.unwrap();
    eventually("it fires again", async || !fires(&pool, "tick").await.is_empty()).await;
    assert!(fires(&pool, "tick").await[0].0 > resumed - TimeDelta::seconds(1));

    // A pause with an end ends by itself.
    let until = ana().because("for a moment").pause_schedule(&pool, "tick", Some(Duration::from_secs(2))).await.unwrap().unwrap();
    eventually("it has gone on by itself", async || fires(&pool, "tick").await.last().unwrap().0 > until).await;
    worker.shutdown().await;
    let within: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.fires WHERE instant > $1 AND instant <= $2 AND fired_at > $3")
        .bind(resumed + TimeDelta::seconds(1))
        .bind(until)
        .bind(until)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(within, 0, "fired for what the pause held up");
}

#[tokio::test]
async fn the_rows_of_a_service_become_what_it_declares_and_those_of_others_stay() {
    let pool = database().await.pool();
    declare_schedules(&pool, "shop", [every_second("a"), every_second("b")]).await.unwrap();
    declare_schedules(&pool, "mailer", [every_second("m")]).await.unwrap();
    ana().because("why").pause_schedule(&pool, "a", None).await.unwrap();
    let changed = Schedule::new("a", "@yearly", Count { n: 2 }.with().queue("slow")).zone("Asia/Tokyo");
    declare_schedules(&pool, "shop", [changed, every_second("c")]).await.unwrap();
    let all = list_schedules(&pool).await.unwrap();
    assert_eq!(all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "c", "m"]);
    assert_eq!((all[0].queue.as_str(), all[0].zone.as_str(), all[0].paused_by.as_deref()), ("slow", "Asia/Tokyo", Some("ana")));
    assert!(all[0].next_at.unwrap() > all[1].next_at.unwrap());

    let error = declare_schedules(&pool, "shop", [every_second("m"), every_second("d")]).await.unwrap_err();
    assert!(matches!(&error, ScheduleError::Owned { owner, .. } if owner == "mailer"), "{error}");
    assert_eq!(list_schedules(&pool).await.unwrap().len(), 3, "nothing was changed");
    let error =
        worker(&pool).handle(|_: Count| async {}).schedules("shop", [every_second("m")]).build().unwrap().start().await.unwrap_err();
    assert!(matches!(error, RunError::Schedule(ScheduleError::Owned { .. })), "{error}");
    let workers: i64 = sqlx::query_scalar("SELECT count(*) FROM haulage.workers").fetch_one(&pool).await.unwrap();
    assert_eq!(workers, 0, "the worker did not start");
}

#[tokio::test]
async fn a_schedule_that_cannot_work_is_refused_with_what_to_do() {
    let pool = database().await.pool();
    let declare = async |schedule: Schedule| declare_schedules(&pool, "shop", [schedule]).await.unwrap_err().to_string();
    let new = |cron: &str| Schedule::new("it", cron, Count { n: 1 });
    for (schedule, part) in [
        (new("61 * * * *"), "\"61 * * * *\" is not valid"),
        (new("@daily").zone("Berlin"), "\"Berlin\" is unknown"),
        (new("0 0 0 1 1 * 2020"), "never fires"),
        (new("0 0 31 2 *"), "never fires"),
        (new("@daily").jitter(Duration::from_secs(100_000)), "up to 1 day"),
        (new("@daily").missed(Missed::AllWithin(Duration::ZERO)), "1 s to 366 days"),
        (Schedule::new("it", "@daily", Count { n: 1 }.with().delay(Duration::from_secs(1))), "has a delay"),
        (Schedule::new("it", "@daily", Count { n: 1 }.with().queue("no good")), "\"no good\""),
        (Schedule::new("no good", "@daily", Count { n: 1 }), "\"no good\""),
    ] {
        let error = declare(schedule).await;
        assert!(error.contains(part), "{error}");
    }
    assert!(declare_schedules(&pool, "shop", [new("@daily"), new("@hourly")]).await.unwrap_err().to_string().contains("twice"));
    for error in [
        ana().because("why").pause_schedule(&pool, "it", None).await.unwrap_err(),
        ana().resume_schedule(&pool, "it").await.unwrap_err(),
        ana().run_schedule(&pool, "it").await.unwrap_err(),
        ana().delete_schedule(&pool, "it").await.unwrap_err(),
    ] {
        assert!(matches!(error, ManageError::Schedule(ScheduleError::NotFound { .. })), "{error}");
    }
    assert!(list_schedules(&pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn jitter_delays_each_instant_by_its_own_part_and_a_schedule_that_is_over_rests() {
    let pool = database().await.pool();
    let year = Utc::now().format("%Y").to_string();
    declare_schedules(
        &pool,
        "shop",
        [every_second("spread").jitter(Duration::from_secs(60)), Schedule::new("over", format!("59 59 23 31 12 * {year}"), Count { n: 1 })],
    )
    .await
    .unwrap();
    sqlx::raw_sql("UPDATE haulage.schedules SET next_at = '2020-01-01' WHERE name = 'over'").execute(&pool).await.unwrap();
    let firing = worker(&pool).handle(|_: Other| async {}).without(Duty::Promote).build().unwrap().start().await.unwrap();
    eventually("three have fired", async || fires(&pool, "spread").await.len() >= 3).await;
    firing.shutdown().await;
    let delays: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM j.run_at - f.instant)::float8 FROM haulage.fires AS f JOIN haulage.live_jobs AS j ON j.id = f.job_id WHERE f.schedule = 'spread'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(delays.iter().all(|delay| (0.0..60.0).contains(delay)), "{delays:?}");
    assert!(delays.iter().any(|delay| (delay - delays[0]).abs() > 0.01), "{delays:?}");
    assert!(schedule(&pool, "over").await.unwrap().next_at.is_some_and(|next| next > Utc::now()));
}

/// Expressions that this and the other implementation read alike.
fn expressions() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        (0..60_u32).prop_map(|m| m.to_string()),
        (1..31_u32).prop_map(|m| format!("*/{m}")),
        Just("*".to_owned()),
        Just("0,15,45".to_owned())
    ];
    let hour = prop_oneof![
        (0..24_u32).prop_map(|h| h.to_string()),
        (1..7_u32).prop_map(|h| format!("*/{h}")),
        Just("*".to_owned()),
        Just("1-3".to_owned())
    ];
    let day =
        prop_oneof![Just(("*", "*")), Just(("*", "0")), Just(("*", "1-5")), Just(("*", "6,7")), Just(("25-31", "*")), Just(("1", "*"))];
    let month = prop_oneof![Just("*"), Just("3,4,10,11"), Just("*/2")];
    (minute, hour, day, month).prop_map(|(minute, hour, (day, weekday), month)| format!("{minute} {hour} {day} {month} {weekday}"))
}

#[test]
fn times_are_those_of_another_implementation_in_every_zone() {
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Asia/Kolkata",
        "Europe/Dublin",
    ];
    let starts = 1_700_000_000..1_860_000_000_i64;
    proptest!(Config { cases: 400, failure_persistence: None, ..Config::default() }, |(expression in expressions(), zone in 0..zones.len(), start in starts)| {
        let zone = zones[zone];
        let ours = Cron::new(&expression, zone).unwrap();
        let theirs: croner::Cron = expression.parse().unwrap();
        let tz: chrono_tz::Tz = zone.parse().unwrap();
        let mut at = Utc.timestamp_opt(start, 0).unwrap();
        for _ in 0..40 {
            let next = ours.next_after(at);
            let expected = theirs.find_next_occurrence(&at.with_timezone(&tz), false).ok().map(|next| next.to_utc());
            prop_assert_eq!(next, expected, "{} in {} after {}", expression, zone, at);
            let Some(next) = next else { break };
            prop_assert!(next > at);
            at = next;
        }
    });
}

#[test]
fn times_around_a_change_of_the_clocks_are_those_of_another_implementation() {
    let changes = [
        ("Europe/Berlin", 1_774_746_000),
        ("Europe/Berlin", 1_792_890_000),
        ("America/New_York", 1_772_953_200),
        ("America/New_York", 1_793_512_800),
        ("Australia/Lord_Howe", 1_775_314_800),
        ("Australia/Lord_Howe", 1_791_041_400),
    ];
    proptest!(Config { cases: 400, failure_persistence: None, ..Config::default() }, |(expression in expressions(), change in 0..changes.len(), before in 0..10_000_i64)| {
        let (zone, instant) = changes[change];
        let ours = Cron::new(&expression, zone).unwrap();
        let theirs: croner::Cron = expression.parse().unwrap();
        let tz: chrono_tz::Tz = zone.parse().unwrap();
        let mut at = Utc.timestamp_opt(instant - before, 0).unwrap();
        for _ in 0..20 {
            let next = ours.next_after(at);
            let expected = theirs.find_next_occurrence(&at.with_timezone(&tz), false).ok().map(|next| next.to_utc());
            prop_assert_eq!(next, expected, "{} in {} after {}", expression, zone, at);
            let Some(next) = next else { break };
            at = next;
        }
    });
}
