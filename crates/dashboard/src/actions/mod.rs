//! What people do by the dashboard: every change that it makes goes through [`App::perform`](crate::app::App::perform), whether a form
//! asks for it or a program.
//!
//! ```text
//!  form, JSON ──> Action ──> role? ──> one transaction: the deed and its row in the audit ──> Done, or a Refusal
//! ```
//!
//! Nothing here knows of HTML. Where a request comes from is checked by `forgery.rs` before it gets here; that a dashboard only reads is
//! for the database to see to, so that there is no way around it.

mod action;
mod actor;
mod args;
mod done;
mod drive;
pub(crate) mod forgery;
mod pace;
mod perform;
mod refusal;
mod role;

pub(crate) use action::Action;
pub(crate) use actor::Actor;
pub(crate) use args::{Shown, shown};
pub(crate) use done::Done;
pub(crate) use drive::Drivers;
pub(crate) use pace::Pace;
pub(crate) use perform::deed;
pub(crate) use refusal::Refusal;
pub use role::{Role, UnknownRole};
