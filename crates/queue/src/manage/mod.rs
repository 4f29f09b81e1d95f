//! What operators do: to one job ([`Operator`]), to all that match a filter ([`Operation`]), and who did what ([`list_audit`]). What they
//! do to queues, keys and schedules is beside these: `queue.rs`, `limit.rs`, `schedule/operate.rs`.

mod act;
mod audit;
mod cancel;
mod edit;
mod error;
mod operation;
mod operator;
mod preview;
mod quiet;
mod standing;
mod step;
mod verb;

pub use audit::{AuditEntry, AuditFilter, AuditPage, audit_page, list_audit};
pub use cancel::{CancelOutcome, cancel};
pub use error::ManageError;
pub use operation::{Operation, OperationId, OperationState, list_operations, operation};
pub use operator::{Acted, Operator};
pub use preview::{Preview, preview};
pub use step::{run_operation, step_operation};
pub use verb::Verb;

pub(crate) use audit::Target;
pub(crate) use quiet::WorkerStanding;
pub(crate) use standing::Standing;
