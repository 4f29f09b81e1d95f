#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

async fn send(_: Mail) {}

fn main() {
    let pool = sqlx::PgPool::connect_lazy("postgres://localhost").unwrap();
    let _ = haulage::Worker::builder(pool).handle(send);
}
