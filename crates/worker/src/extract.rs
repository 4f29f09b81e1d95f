//! Handler arguments after the job: the context, parts of the worker's state, your own.

use crate::{Ctx, JobError};

/// A part of the worker's state, as axum's `State`. A type that the state does not provide does not compile.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

/// How a part is taken from the worker's state.
///
/// ```
/// use haulage_worker::FromRef;
///
/// #[derive(Clone)]
/// struct Mailer;
/// #[derive(Clone)]
/// struct App {
///     mailer: Mailer,
/// }
///
/// impl FromRef<App> for Mailer {
///     fn from_ref(app: &App) -> Self {
///         app.mailer.clone()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the worker's state `{T}` does not provide `{Self}`",
    note = "pass it with `Worker::builder(pool).state(...)`, or `impl FromRef<{T}> for {Self}`"
)]
pub trait FromRef<T> {
    /// Takes the part, usually a clone.
    fn from_ref(input: &T) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(input: &T) -> T {
        input.clone()
    }
}

/// A handler argument after the job.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler argument of a worker with state `{S}`",
    note = "handler arguments after the job are `Ctx`, `State<T>` or your own `FromCtx` types"
)]
pub trait FromCtx<S>: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    /// A [`JobError`] ends the attempt as if the handler had returned it.
    fn from_ctx(ctx: &Ctx, state: &S) -> Result<Self, JobError>;
}

impl<S> FromCtx<S> for Ctx {
    fn from_ctx(ctx: &Ctx, _: &S) -> Result<Self, JobError> {
        Ok(ctx.clone())
    }
}

impl<S, T: FromRef<S>> FromCtx<S> for State<T> {
    fn from_ctx(_: &Ctx, state: &S) -> Result<Self, JobError> {
        Ok(State(T::from_ref(state)))
    }
}
