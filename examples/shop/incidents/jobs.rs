//! The jobs to which it happens.

use std::{net::TcpListener, time::Duration};

use haulage::{Ctx, Job, JobError, State};
use reqwest::Client;
use serde::{Deserialize, Serialize};

macro_rules! jobs {
    ($($name:ident { $field:ident } $kind:literal in $queue:literal,)*) => {
        $(
            #[derive(Debug, Serialize, Deserialize)]
            pub(super) struct $name {
                pub(super) $field: i64,
            }

            impl Job for $name {
                const KIND: &'static str = $kind;
                const QUEUE: &'static str = $queue;
            }
        )*
    };
}

jobs! {
    Newsletter { customer } "newsletter" in "newsletters",
    SendPostcard { order } "send_postcard" in "mail",
    PrintInvoice { order } "print_invoice" in "invoices",
    ExportOrders { part } "export_orders" in "exports",
    DeliverParcel { parcel } "deliver_parcel" in "deliveries",
    TakeBack { order } "take_back" in "returns",
    BookPayment { order } "book_payment" in "ledger",
    TrackParcel { parcel } "track_parcel" in "parcels",
}

pub(super) async fn print_invoice(_: PrintInvoice) {}

pub(super) async fn take_back(_: TakeBack) {}

pub(super) async fn export_orders(_: ExportOrders, ctx: Ctx) {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(60)) => {}
        () = ctx.cancelled() => {}
    }
}

pub(super) async fn deliver_parcel(_: DeliverParcel, ctx: Ctx) {
    if ctx.attempt() == 1 {
        ctx.cancelled().await;
    }
}

/// An error that no other try will mend.
pub(super) async fn book_payment(job: BookPayment) -> Result<(), JobError> {
    Err(format!("order {} is paid to account 8400, which the ledger does not have", job.order).into())
}

pub(super) async fn track_parcel(job: TrackParcel, State(carrier): State<Carrier>) -> Result<(), JobError> {
    let asked = carrier.client.get(format!("{}/parcels/{}", carrier.url, job.parcel)).send().await;
    let answered = asked.and_then(reqwest::Response::error_for_status);
    // The innermost error says most in the fewest words.
    answered.map(drop).map_err(|error| {
        JobError::retry_after(Duration::from_secs(60), format!("the carrier does not answer: {}", anyhow::Error::from(error).root_cause()))
    })
}

/// Who brings the parcels to their last door.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    client: Client,
    url: String,
}

impl Carrier {
    /// At an address where nobody listens any more.
    pub(super) fn that_is_down() -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { client: Client::builder().timeout(Duration::from_secs(5)).build()?, url: format!("http://127.0.0.1:{port}") })
    }
}
