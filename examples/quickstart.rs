//! The whole way of a job in one program: stored with the application's own write, run by a worker in the same process, read back.
//!
//! ```sh
//! cargo run --features cli --bin haulage -- dev -- cargo run --example quickstart
//! ```

#![expect(clippy::print_stdout, reason = "a program for people to watch")]

use std::time::Duration;

use anyhow::Context;
use haulage::{Ctx, Job, Worker, job};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

#[derive(Serialize, Deserialize)]
struct Greet {
    visitor: i64,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
}

async fn greet(job: Greet, ctx: Ctx) -> anyhow::Result<()> {
    let name: String = sqlx::query_scalar("SELECT name FROM visitors WHERE id = $1").bind(job.visitor).fetch_one(ctx.pool()).await?;
    anyhow::ensure!(ctx.attempt() > 1, "no luck the first time");
    ctx.set_output(&format!("hello {name}"))?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("set DATABASE_URL, or run this under `haulage dev --`")?;
    let pool = PgPool::connect(&url).await?;
    haulage::migrate(&pool).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS visitors (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)")
        .execute(&pool)
        .await?;

    // The visitor and the job: both, or neither.
    let mut tx = pool.begin().await?;
    let visitor = sqlx::query_scalar("INSERT INTO visitors (name) VALUES ('Ada') RETURNING id").fetch_one(&mut *tx).await?;
    let id = Greet { visitor }.enqueue(&mut *tx).await?.id();
    tx.commit().await?;

    let worker = Worker::builder(pool.clone())
        .queue("default", 10)
        .handle(greet)
        .backoff(|_| Duration::from_millis(200)) // so that the retry does not take 16 seconds here
        .build()?
        .start()
        .await?;
    loop {
        let status = job(&pool, id).await?.context("the job is there")?;
        println!("job {id} is {}, attempt {}", status.state, status.attempt);
        if status.state.is_final() {
            println!("it says: {}", status.output_as::<String>()?.unwrap_or_default());
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    worker.shutdown().await;
    Ok(())
}
