// Compiles; it also makes the harness build instead of check, without which a bad KIND would not be seen.
use haulage::{Ctx, Job};

#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

impl Job for Mail {
    const KIND: &'static str = "mail";
}

async fn send(_: Mail, _: Ctx) -> anyhow::Result<()> {
    Ok(())
}

fn main() {
    let _ = |pool| haulage::Worker::builder(pool).queue("mail", 1).handle(send);
}
