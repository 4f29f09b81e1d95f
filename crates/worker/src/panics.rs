//! A panic's message and place. The payload tells the message; only a panic hook is told the place.

use std::{any::Any, cell::RefCell, panic, sync::Once};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Adds a hook that remembers, per thread, where the last panic happened, and then calls the hook that was there before.
pub(crate) fn remember_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            LAST.with(|last| *last.borrow_mut() = info.location().map(ToString::to_string));
            before(info);
        }));
    });
}

/// The text for a caught panic; call it on the thread that panicked.
pub(crate) fn describe(payload: &(dyn Any + Send)) -> String {
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    match LAST.with(|last| last.borrow_mut().take()) {
        Some(place) => format!("panicked at {place}: {message}"),
        None => format!("panicked: {message}"),
    }
}
