//! What was enqueued. A check that fails panics at the line that awaits it and lists what is there instead.
//!
//! Each takes a `&PgPool`, a `&mut PgConnection`, or `&mut *tx` to look inside a transaction that has not committed yet.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use sqlx::PgExecutor;

use crate::{
    Job,
    store::{self, Listed},
    testing::{Found, found::listing},
};

/// The one job of this kind, unfinished or finished, aliases of the kind included.
///
/// # Panics
/// When there is none or more than one; when its args are no `T`.
pub fn only_job<'c, T: Job>(db: impl PgExecutor<'c> + 'c) -> Check<'c, Found<T>> {
    Check::new::<T>(db, |mut found, all| match found.pop() {
        Some(job) if found.is_empty() => Ok(job),
        last => Err(format!(
            "expected one job of the kind \"{}\", found {}{}",
            T::KIND,
            found.len() + usize::from(last.is_some()),
            listing(all)
        )),
    })
}

/// Every job of this kind, unfinished or finished, in the order of their ids.
///
/// # Panics
/// When the args of one are no `T`.
pub fn jobs_of<'c, T: Job>(db: impl PgExecutor<'c> + 'c) -> Check<'c, Vec<Found<T>>> {
    Check::new::<T>(db, |found, _| Ok(found))
}

/// A job of this kind is there for which the predicate holds, unfinished or finished; the first of them is returned. `|_| true`
/// takes any.
///
/// # Panics
/// When there is none; when the args of one of the kind are no `T`.
pub fn assert_enqueued<'c, T: Job>(db: impl PgExecutor<'c> + 'c, predicate: impl Fn(&Found<T>) -> bool + Send + 'c) -> Check<'c, Found<T>> {
    Check::new::<T>(db, move |found, all| {
        let of_kind = found.len();
        found.into_iter().find(|job| predicate(job)).ok_or_else(|| {
            format!(
                "expected a job of the kind \"{}\" for which the predicate holds, found {of_kind} for which it does not{}",
                T::KIND,
                listing(all)
            )
        })
    })
}

/// No job of this kind is there for which the predicate holds, unfinished or finished. `|_| true` takes any.
///
/// # Panics
/// When there is one; when the args of one of the kind are no `T`.
pub fn assert_not_enqueued<'c, T: Job>(db: impl PgExecutor<'c> + 'c, predicate: impl Fn(&Found<T>) -> bool + Send + 'c) -> Check<'c, ()> {
    Check::new::<T>(db, move |found, all| match found.iter().find(|job| predicate(job)) {
        None => Ok(()),
        Some(job) => Err(format!(
            "expected no job of the kind \"{}\" for which the predicate holds, found the job {}{}",
            T::KIND,
            job.id,
            listing(all)
        )),
    })
}

/// A look at the jobs, under way. Await it.
#[must_use = "nothing is looked at until this is awaited"]
pub struct Check<'c, R>(Pin<Box<dyn Future<Output = Result<R, String>> + Send + 'c>>);

impl<'c, R: 'c> Check<'c, R> {
    /// `verdict` gets the jobs of the kind, and everything that was read, for its message.
    fn new<T: Job>(db: impl PgExecutor<'c> + 'c, verdict: impl FnOnce(Vec<Found<T>>, &[Listed]) -> Result<R, String> + Send + 'c) -> Self {
        Self(Box::pin(async move {
            let kinds: Vec<&str> = std::iter::once(T::KIND).chain(T::KIND_ALIASES.iter().copied()).collect();
            let all = store::list_jobs_with_args(db, &kinds).await.map_err(|error| format!("the jobs could not be read: {error}"))?;
            let found = all.iter().filter(|job| job.ours).map(Found::read).collect::<Result<Vec<Found<T>>, String>>()?;
            verdict(found, &all)
        }))
    }
}

impl<R> Future for Check<'_, R> {
    type Output = R;

    // The caller of `poll` is the `.await`, so a panic names the line of the test.
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        match self.0.as_mut().poll(context) {
            Poll::Ready(Ok(found)) => Poll::Ready(found),
            Poll::Ready(Err(message)) => panic!("{message}"),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<R> fmt::Debug for Check<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").finish_non_exhaustive()
    }
}
