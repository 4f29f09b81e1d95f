//! Helpers for the tests of an application. The page `docs/testing.md` tells how to use them together.
//!
//! | | |
//! |---|---|
//! | [`Database`], [`Template`] | a database per test |
//! | [`only_job`], [`jobs_of`], [`assert_enqueued`], [`assert_not_enqueued`] | what was enqueued |
//! | `Worker::drain`, `Worker::perform`, `Worker::work_one` | running jobs inside the test |

pub use haulage_queue::testing::*;
#[cfg(feature = "worker")]
pub use haulage_worker::testing::*;
