//! How things look on a page: times, counts, states, JSON. Everything that comes from outside goes through an escaping writer here or
//! in a template.

mod json;
mod number;
mod prose;
mod redact;
mod spark;
mod state;
mod text;
mod time;

pub(crate) use json::{Json, hide_secrets, json};
pub(crate) use number::{Gauge, capped, gauge, number};
pub(crate) use prose::{Prose, prose};
pub(crate) use redact::{MASK, is_secret, mask, mask_named};
pub(crate) use spark::Spark;
pub(crate) use state::{Look, Tag};
pub(crate) use text::{decode, encode, first_line, hides, visible};
pub(crate) use time::{ago, at, span, span_between};
