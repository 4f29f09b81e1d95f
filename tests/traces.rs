//! The tests of spans, in a process of their own: whether a span is recorded is remembered for the whole process by the subscribers
//! that live at that moment, and other tests install theirs.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

#[expect(dead_code, unused_imports, reason = "the other binary uses the rest of it")]
mod support;

mod attempt_logs;
mod tracing;
