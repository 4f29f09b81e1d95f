//! A handler's future, polled and dropped inside the span of its attempt.
//!
//! `Instrument` of `tracing` enters the span once more to drop what is left of the future, and has a handle of its own to it. A quick
//! handler leaves nothing after its only poll, and each of the two costs as much as the poll's own entrance.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::AttemptSpan;

pub(crate) struct Inside<'a, F> {
    span: &'a AttemptSpan,
    future: Pin<&'a mut Option<F>>,
}

impl<'a, F> Inside<'a, F> {
    pub(crate) fn new(span: &'a AttemptSpan, future: Pin<&'a mut Option<F>>) -> Self {
        Self { span, future }
    }
}

impl<F: Future> Future for Inside<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.span.in_scope(|| {
            // Nobody polls it once more.
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let answer = future.poll(context);
            if answer.is_ready() {
                this.future.set(None);
            }
            answer
        })
    }
}

impl<F> Drop for Inside<'_, F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.span.in_scope(|| self.future.set(None));
        }
    }
}
