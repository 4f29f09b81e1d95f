#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use haulage_queue::*;
#[cfg(feature = "worker")]
pub use haulage_worker::*;

#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "dashboard")]
pub use haulage_dashboard as dashboard;

#[cfg(all(doctest, feature = "worker"))]
mod docs;
