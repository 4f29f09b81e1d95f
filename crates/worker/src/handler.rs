//! Handlers are plain functions: `async fn(job, extractors...)`, or `fn(job, extractors...)` on a blocking thread.
//!
//! The traits carry no bounds on the job, the extractors or the output; those stand on `Builder::handle`. That is why each
//! mistake gets an error message of its own.

use crate::{Ctx, FromCtx, JobError};

/// An async function whose first argument is a job: `async fn(J, A, B, ..) -> impl IntoOutcome`. Implemented for functions; not meant to be implemented by hand.
///
/// `M` names the argument list, so that one function has one impl; nobody writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job handler",
    label = "not an `async fn` of one to nine arguments",
    note = "write `async fn name(job: MyJob, ...)`, with up to eight extractors after the job; for a plain `fn` use `handle_blocking`"
)]
pub trait Handler<M>: Clone + Send + Sync + 'static {
    /// The job.
    type Job;
    /// The extractors, as a tuple.
    type Args;
    /// What it returns.
    type Output;

    #[doc(hidden)]
    fn call(&self, job: Self::Job, args: Self::Args) -> impl Future<Output = Self::Output> + Send;
}

/// A plain function whose first argument is a job; it runs on a blocking thread: `fn(J, A, B, ..) -> impl IntoOutcome`. Implemented for functions; not meant to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a blocking job handler",
    label = "not a plain `fn` of one to nine arguments",
    note = "write `fn name(job: MyJob, ...)`, with up to eight extractors after the job; for an `async fn` use `handle`"
)]
pub trait BlockingHandler<M>: Clone + Send + Sync + 'static {
    /// The job.
    type Job;
    /// The extractors, as a tuple.
    type Args;
    /// What it returns.
    type Output;

    #[doc(hidden)]
    fn call(&self, job: Self::Job, args: Self::Args) -> Self::Output;
}

/// The extractors of a handler, as a tuple. Not meant to be implemented by hand.
pub trait Extract<S>: Sized + Send {
    #[doc(hidden)]
    fn extract(ctx: &Ctx, state: &S) -> Result<Self, JobError>;
}

macro_rules! handler {
    ($($t:ident),*) => {
        #[allow(non_snake_case, reason = "type parameters double as argument names; with no extractor there are none")]
        impl<F, Fut, J, $($t,)*> Handler<fn(J, $($t,)*) -> Fut> for F
        where
            F: Fn(J, $($t,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send,
        {
            type Job = J;
            type Args = ($($t,)*);
            type Output = Fut::Output;

            fn call(&self, job: J, ($($t,)*): ($($t,)*)) -> impl Future<Output = Fut::Output> + Send {
                self(job, $($t,)*)
            }
        }

        #[allow(non_snake_case, reason = "type parameters double as argument names; with no extractor there are none")]
        impl<F, Out, J, $($t,)*> BlockingHandler<fn(J, $($t,)*) -> Out> for F
        where
            F: Fn(J, $($t,)*) -> Out + Clone + Send + Sync + 'static,
        {
            type Job = J;
            type Args = ($($t,)*);
            type Output = Out;

            fn call(&self, job: J, ($($t,)*): ($($t,)*)) -> Out {
                self(job, $($t,)*)
            }
        }

        impl<S, $($t: FromCtx<S> + Send,)*> Extract<S> for ($($t,)*) {
            fn extract(_ctx: &Ctx, _state: &S) -> Result<Self, JobError> {
                Ok(($($t::from_ctx(_ctx, _state)?,)*))
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);
handler!(A, B, C, D, E, G, H);
handler!(A, B, C, D, E, G, H, I);
