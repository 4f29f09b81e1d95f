//! The one place where statements are put together at run time: lists whose shape depends on what somebody searches for. Every
//! value is a bind parameter; what is pushed as text is written here or is an integer of ours.
//!
//! A search never reads a table without bound. It looks at a window, the next so many rows in the order of the ids, which the
//! primary keys give one by one, and compares these with the filter:
//!
//! ```text
//!  live_jobs      window: id below ..., at most N ──> filter ──┐
//!                                                              ├──> merged by id, down to where both windows reach
//!  finished_jobs  window: id below ..., at most N ──> filter ──┘
//! ```
//!
//! A page also asks the indexes of the history's closed days, if the filter names what they hold: then the window is that of the other
//! days. What they find is bounded as well; a filter that matches more there is not rare, and finds enough in a window. In the same way it
//! asks the indexes of a queue, if the filter names one.

mod audit;
mod closed;
mod conditions;
mod count;
mod page;
mod pick;
mod queued;
mod window;

pub(crate) use audit::search_audit;
pub(crate) use count::count_jobs;
pub(crate) use page::{PAGE_REACH, search_jobs};
pub(crate) use pick::{lock_jobs, pick_jobs};
pub(crate) use window::Parts;
