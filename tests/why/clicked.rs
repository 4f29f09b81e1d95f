//! Each code in a real browser: the page of the job, or Stuck, says it; the first fix is clicked, or its command run as it stands there;
//! and then the job runs, or what was the matter is over.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use axum::{Extension, Router};
use haulage::{
    JobState, WhyCode,
    dashboard::{Identity, Role, router},
};
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::{Child, Command};

use super::{Made, cause, finished, fleet, gates, running, states, why};
use crate::support::{browser::Browser, database, eventually, page::serve, text::pattern};

/// What is to be done first.
enum First {
    /// The button that says this.
    Click(&'static str, Then),
    /// What stands there as a command.
    Run(Then),
    /// Nothing is proposed, or nothing that a test can do; because.
    Nothing(&'static str),
}

/// What comes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The job runs, and the fleet's causes don't name the code any more.
    Runs,
    /// The job ends.
    Ends,
    /// Another code is said of it, or none.
    Changes,
    /// Somebody knows more.
    Tells,
}

use First::{Click, Nothing, Run};
use Then::{Changes, Ends, Runs, Tells};

/// Makes what the code tells of. Every code is here: one that is not fails the test.
async fn case(code: WhyCode, pool: &PgPool) -> (Made, First) {
    match code {
        WhyCode::Completed => (finished::a_completed_job(pool).await, Nothing("it did what it was for")),
        WhyCode::Cancelled => (finished::a_cancelled_job(pool).await, Nothing("somebody wanted it so; Retry stands above")),
        WhyCode::Dead => (finished::a_dead_job(pool).await, Click("Retry it", Runs)),
        WhyCode::BadArgs => (finished::a_job_with_bad_args(pool).await, Click("Retry it", Runs)),
        WhyCode::Quarantined => (finished::a_quarantined_job(pool).await, Click("Retry it", Runs)),
        WhyCode::Gone => (finished::a_deleted_job(pool).await, Nothing("there is nothing left to act on")),
        WhyCode::Orphaned => (running::a_job_of_a_silent_worker(pool).await, Run(Runs)),
        WhyCode::OverTimeout => (running::a_job_past_its_timeout(pool).await, Click("Ask it to stop", Changes)),
        WhyCode::Cancelling => (running::a_job_that_is_to_stop(pool).await, Nothing("it has been asked, and its handler moves next")),
        WhyCode::LongRunning => (running::a_job_that_takes_long(pool).await, Click("Ask it to stop", Ends)),
        WhyCode::Running => (running::a_running_job(pool).await, Nothing("it runs")),
        WhyCode::Held => (states::a_held_job(pool).await, Click("Release it", Runs)),
        WhyCode::RetryLoop => (states::a_job_that_fails_again_and_again(pool).await, Click("Hold it", Changes)),
        WhyCode::Backoff => (states::a_job_that_failed(pool).await, Click("Try it now", Runs)),
        WhyCode::Snoozed => (states::a_snoozed_job(pool).await, Click("Run it now", Runs)),
        WhyCode::FarFuture => (states::a_job_of_the_far_future(pool).await, Click("Run it now", Runs)),
        WhyCode::Scheduled => (states::a_scheduled_job(pool).await, Click("Run it now", Runs)),
        WhyCode::DueNoWorker => (states::a_due_job_without_workers(pool).await, Run(Runs)),
        WhyCode::PromoteLate => (states::a_late_job(pool).await, Click("Run it now", Runs)),
        WhyCode::NoLiveWorkers => (gates::a_fleet_without_workers(pool).await, Run(Runs)),
        WhyCode::NoWorker => (gates::a_queue_that_nobody_serves(pool).await, Run(Runs)),
        WhyCode::Paused => (gates::a_paused_queue(pool).await, Click("Resume mail", Runs)),
        WhyCode::WorkersQuiet => (gates::a_quiet_worker(pool).await, Click("Resume worker ", Runs)),
        WhyCode::NoHandler => (gates::a_kind_that_nobody_handles(pool).await, Run(Runs)),
        WhyCode::OldRevision => (gates::a_later_revision(pool).await, Run(Runs)),
        WhyCode::TableLock => (fleet::a_locked_table(pool).await, Click("End session", Runs)),
        WhyCode::DbLock => (fleet::a_lock_that_workers_wait_for(pool).await, Click("End session", Runs)),
        WhyCode::SlotBlocked => (states::a_blocked_slot(pool).await, Click("Hold the job that has the slot", Runs)),
        WhyCode::KeyFull => (gates::a_key_that_is_held_for_long(pool).await, Click("Ask the job that holds it to stop", Runs)),
        WhyCode::KeyRate => (gates::a_key_at_its_rate(pool).await, Click("Raise the limit of tenant:2", Runs)),
        WhyCode::QueueFull => (gates::a_full_queue(pool).await, Click("Raise the limit of default", Runs)),
        WhyCode::QueueRate => (gates::a_queue_at_its_rate(pool).await, Click("Raise the limit of mail", Runs)),
        WhyCode::RowLocked => (states::a_locked_row(pool).await, Click("End session", Runs)),
        WhyCode::Suspect => (states::a_suspect(pool).await, Click("Hold it", Changes)),
        WhyCode::HeadOfLine => (states::a_line_behind_long_jobs(pool).await, Run(Runs)),
        WhyCode::Starved => (states::a_starved_job(pool).await, Click("Run it next", Changes)),
        WhyCode::SlotsFull => (states::a_busy_worker(pool).await, Run(Runs)),
        WhyCode::InLine => (states::a_job_in_line(pool).await, Click("Run it next", Changes)),
        WhyCode::Ready => (states::a_ready_job(pool).await, Nothing("it is about to start")),
        WhyCode::Unexplained => (states::an_unexplained_job(pool).await, Run(Tells)),
        WhyCode::ScheduleMissed => (fleet::a_missed_schedule(pool).await, Run(Changes)),
        WhyCode::OldSnapshot => (fleet::an_old_snapshot(pool).await, Click("End session", Changes)),
        WhyCode::Connections => (fleet::hardly_a_free_connection(pool).await, Run(Tells)),
        WhyCode::Clock => (fleet::a_wrong_clock(pool).await, Nothing("its command sets the clock of the machine")),
        WhyCode::Listener => (fleet::a_deaf_worker(pool).await, Nothing("where workers connect to is written in their deployment")),
        code => panic!("{code} has no case here: make its state, and say what its first fix is"),
    }
}

/// In three parts, which run beside each other.
async fn a_third_of_the_codes(third: usize) {
    Browser::with(async |browser| {
        for code in WhyCode::ALL.iter().skip(third).step_by(3) {
            Box::pin(first_fix_helps(browser, *code)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fix_of_each_code_helps_when_it_is_clicked_1() {
    a_third_of_the_codes(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fix_of_each_code_helps_when_it_is_clicked_2() {
    a_third_of_the_codes(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fix_of_each_code_helps_when_it_is_clicked_3() {
    a_third_of_the_codes(2).await;
}

async fn first_fix_helps(browser: &Browser, code: WhyCode) {
    let (pool, url, _server) = if code == WhyCode::Connections {
        let (server, pool) = fleet::small_server().await;
        (pool, server.url().to_owned(), Some(server))
    } else {
        let database = database().await;
        (database.pool(), database.url(), None)
    };
    let (made, first) = case(code, &pool).await;
    let ana = Identity { name: "ana".to_owned(), role: Role::Admin };
    let app: Router = router(pool.clone()).layer(Extension(ana));
    let dashboard = serve(app).await;
    // What holds up the whole server may hold up the page of a job, too.
    let of_all = matches!(code, WhyCode::TableLock | WhyCode::DbLock);
    let path = made.job.filter(|_| !of_all).map_or("stuck".to_owned(), |id| format!("jobs/{id}"));
    let place = format!("[data-code=\"{code}\"]");
    // The page of what is not there any more has nothing but a sentence.
    let at = if code == WhyCode::Gone { "main .why".to_owned() } else { format!("{place} .why") };
    let said = format!("return document.querySelector('{at}')?.textContent ?? ''");
    let sentence = made.sentence.replace('`', "");
    let mut shown = Value::Null;
    eventually(&format!("{code} is said on {path}"), async || {
        browser.go(&format!("{dashboard}/{path}")).await;
        shown = browser.ask(&said).await;
        shown != ""
    })
    .await;
    let shown = shown.as_str().unwrap().trim().to_owned();
    let sentence = if code == WhyCode::Gone { format!("*(gone). {sentence}*") } else { sentence };
    assert!(pattern(&sentence, &shown), "{code}: {shown:?} is not {sentence:?}");

    let (then, running) = match first {
        Nothing(because) => {
            let button = format!("return document.querySelector('{place} [form=\"do\"], {place} a.btn.p')?.textContent ?? ''");
            assert_eq!(browser.ask(&button).await, "", "{code} has a button after all, although {because}");
            return made.end().await;
        }
        Click(label, then) => {
            press(browser, code, &place, label).await;
            (then, None)
        }
        Run(then) => {
            let command = browser.ask(&format!("return document.querySelector('{place} .do code')?.textContent ?? ''")).await;
            (then, Some(run(command.as_str().unwrap(), &url, then).await))
        }
    };
    let id = made.job;
    let state = async || haulage::job(&pool, id.unwrap()).await.unwrap().unwrap().state;
    match then {
        Runs => {
            let runs = async || matches!(state().await, JobState::Running | JobState::Completed);
            eventually(&format!("{code}: the job runs"), runs).await;
        }
        Ends => eventually(&format!("{code}: the job ends"), async || state().await.is_final()).await,
        Changes if id.is_some() => assert_ne!(why(&pool, id.unwrap()).await.code, code),
        Changes | Tells => {}
    }
    if then != Tells {
        eventually(&format!("{code} is no cause any more"), async || cause(&pool, code).await.is_none()).await;
    }
    drop(running);
    made.end().await;
}

/// The first button of the card or banner, and the form that it may lead to.
async fn press(browser: &Browser, code: WhyCode, place: &str, label: &str) {
    let first = format!("{place} .act > .btn:first-child, {place} .acts > .btn:first-child");
    let says = browser.ask(&format!("return document.querySelector('{first}')?.textContent ?? ''")).await;
    assert!(says.as_str().unwrap().starts_with(label), "the first button of {code} says {says}");
    browser.click(&first).await;
    if says.as_str().unwrap().ends_with('…') {
        let asked = "return document.querySelector('form.act [name=reason]') !== null";
        eventually("a reason is asked for", async || browser.ask(asked).await == true).await;
        browser.write("form.act [name=reason]", "it was proposed").await;
        browser.click("form.act .acts button").await;
    }
    // A click does not wait for the page that it leads to.
    let told = "return document.querySelector('.flash')?.className ?? ''";
    let done = async || browser.ask(told).await.as_str().is_some_and(|class| class.contains("st-completed"));
    eventually(&format!("{code}: it is said that it is done"), done).await;
}

/// What was started, in a folder of its own.
struct Shell {
    running: Option<Child>,
    folder: PathBuf,
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.running.take());
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// As somebody runs it who has copied it into a shell.
async fn run(command: &str, url: &str, then: Then) -> Shell {
    let folder = std::env::temp_dir().join(format!("haulage-clicked-{:x}", rand::random::<u64>()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("worker.toml"), WORKER).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_haulage")).parent().unwrap().display();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {command}")]).current_dir(&folder).env("PATH", format!("{programs}:{path}")).env("DATABASE_URL", url);
    shell.env("RUST_LOG", "error").stdin(Stdio::null()).kill_on_drop(true);
    if then != Tells {
        return Shell { running: Some(shell.spawn().unwrap()), folder };
    }
    let answer = shell.output().await.unwrap();
    assert!(answer.status.success() && !answer.stdout.is_empty(), "{command}: {}", String::from_utf8_lossy(&answer.stderr));
    Shell { running: None, folder }
}

/// What whoever starts it has a handler for.
const WORKER: &str = r#"
[queues]
default = 5
mail = 5
mial = 5

[kinds.count]
command = ["true"]
revision = 2

[kinds.report]
command = ["true"]
"#;
