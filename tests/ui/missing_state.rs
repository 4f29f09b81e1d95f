use haulage::{Job, State};

#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

impl Job for Mail {
    const KIND: &'static str = "mail";
}

#[derive(Clone)]
struct Mailer;

async fn send(_: Mail, State(_mailer): State<Mailer>) {}

fn main() {
    let pool = sqlx::PgPool::connect_lazy("postgres://localhost").unwrap();
    let _ = haulage::Worker::builder(pool).handle(send);
}
