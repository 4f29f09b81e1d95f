//! Mails: a welcome for each new customer, a receipt for each order, a notice when the partner knows of it.
//!
//! A job holds ids, not texts: what the mail says is read when it is sent, so a retry next week
//! sends what is true next week, and the queue holds no personal data.

use haulage::{Ctx, Job, JobError, State};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Sent once, when a customer signs up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WelcomeMail {
    pub(crate) customer: i64,
}

impl Job for WelcomeMail {
    const KIND: &'static str = "welcome_mail";
    const QUEUE: &'static str = "mail";
}

pub(crate) async fn send_welcome(job: WelcomeMail, ctx: Ctx, State(mailer): State<Mailer>) -> Result<(), JobError> {
    let customer: Option<(String, Option<String>)> =
        sqlx::query_as("SELECT email, name FROM shop.customers WHERE id = $1").bind(job.customer).fetch_optional(ctx.pool()).await?;
    let Some((email, name)) = customer else {
        return Err(JobError::fatal(format!("customer {} does not exist", job.customer)));
    };
    let text = format!(
        "Dear {},\n\nwelcome. Your first box is on its way as soon as you order one.\n\nThe shop\n",
        name.as_deref().unwrap_or("customer"),
    );
    mailer.send(&email, "Welcome to the shop", text, &ctx).await
}

/// Sent for every order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReceiptMail {
    pub(crate) order: i64,
}

impl Job for ReceiptMail {
    const KIND: &'static str = "receipt_mail";
    const QUEUE: &'static str = "mail";
}

pub(crate) async fn send_receipt(job: ReceiptMail, ctx: Ctx, State(mailer): State<Mailer>) -> Result<(), JobError> {
    let lines: Vec<(String, String, i32, i32)> = sqlx::query_as(
        "SELECT customers.email, products.name, lines.quantity, lines.price_cents
         FROM shop.orders
         JOIN shop.customers ON customers.id = orders.customer_id
         JOIN shop.order_lines AS lines ON lines.order_id = orders.id
         JOIN shop.products ON products.id = lines.product_id
         WHERE orders.id = $1
         ORDER BY lines.line",
    )
    .bind(job.order)
    .fetch_all(ctx.pool())
    .await?;
    let Some((email, ..)) = lines.first() else {
        return Err(JobError::fatal(format!("order {} does not exist", job.order)));
    };

    let mut text = format!("Thank you for order {}.\n\n", job.order);
    let mut total = 0;
    for (_, product, quantity, price_cents) in &lines {
        let cents = i64::from(*quantity) * i64::from(*price_cents);
        total += cents;
        text += &format!("{quantity:>4} x {product:<20} {:>10}\n", money(cents));
    }
    text += &format!("{:<27} {:>10}\n", "Total", money(total));

    mailer.send(email, &format!("Receipt for order {}", job.order), text, &ctx).await
}

/// Sent for every order that the partner has taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DispatchMail {
    pub(crate) order: i64,
}

impl Job for DispatchMail {
    const KIND: &'static str = "dispatch_mail";
    const QUEUE: &'static str = "mail";
}

pub(crate) async fn send_dispatch(job: DispatchMail, ctx: Ctx, State(mailer): State<Mailer>) -> Result<(), JobError> {
    let email: Option<String> = sqlx::query_scalar(
        "SELECT customers.email FROM shop.orders JOIN shop.customers ON customers.id = orders.customer_id WHERE orders.id = $1",
    )
    .bind(job.order)
    .fetch_optional(ctx.pool())
    .await?;
    let Some(email) = email else {
        return Err(JobError::fatal(format!("order {} does not exist", job.order)));
    };
    let text = format!("Order {} is being packed.\n\nThe shop\n", job.order);
    mailer.send(&email, &format!("Order {} is on its way", job.order), text, &ctx).await
}

/// Cents as people read them: `EUR 12.90`.
pub(crate) fn money(cents: i64) -> String {
    format!("EUR {}.{:02}", cents / 100, cents % 100)
}

/// Says no to what cannot be an address, before anything is stored.
pub(crate) fn check_address(email: &str) -> Result<(), Problem> {
    match email.parse::<Address>() {
        Ok(_) if email.len() <= 254 => Ok(()),
        _ => Err(Problem::bad("That is not an e-mail address; write it like name@example.com.")),
    }
}

/// The connection to the mail server.
#[derive(Debug, Clone)]
pub(crate) struct Mailer(AsyncSmtpTransport<Tokio1Executor>);

impl Mailer {
    /// A mailer without TLS, for the catcher on this machine and nothing else.
    pub(crate) fn plain(port: u16) -> Self {
        Self(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build())
    }

    pub(crate) async fn send(&self, to: &str, subject: &str, text: String, ctx: &Ctx) -> Result<(), JobError> {
        // A bad address will not get better: no retry. A refused connection will: `?` retries.
        let to: Address = to.parse().map_err(JobError::fatal)?;
        let message = Message::builder()
            .from(Mailbox::new(Some("The shop".into()), Address::new("shop", "example.com")?))
            .to(Mailbox::new(None, to))
            .subject(subject)
            // The same on every attempt: if the worker dies after the server said yes and before
            // the job was marked done, the second copy is recognised.
            .message_id(Some(format!("<{}@shop.example.com>", ctx.idempotency_key())))
            .header(ContentType::TEXT_PLAIN)
            .body(text)?;
        self.0.send(message).await?;
        Ok(())
    }
}
