use haulage::Job;

#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

impl Job for Mail {
    const KIND: &'static str = "mail";
}

async fn send(_: Mail, _count: u32) {}

fn main() {
    let pool = sqlx::PgPool::connect_lazy("postgres://localhost").unwrap();
    let _ = haulage::Worker::builder(pool).handle(send);
}
