#![deny(unused_must_use)]
use haulage::Job;

#[derive(serde::Serialize, serde::Deserialize)]
struct Mail;

impl Job for Mail {
    const KIND: &'static str = "mail";
}

fn main() {
    Mail.with().queue("mail");
}
