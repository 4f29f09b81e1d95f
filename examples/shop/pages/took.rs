//! The time a form's request took, told on the page it leads to.
//!
//! A form answers with a redirect, so its own time would be lost. It travels in the address:
//! `?took=4100`, in microseconds.

use std::{fmt, time::Instant};

use serde::Deserialize;

/// A running clock; displays as the query.
pub(crate) struct Took(Instant);

impl Took {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "took={}", self.0.elapsed().as_micros())
    }
}

/// The query, read back.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    took: Option<u32>,
}

impl Told {
    /// "Stored in 4.1 ms", or nothing when the page was opened by itself.
    pub(crate) fn note(&self, what: &str) -> String {
        match self.took {
            Some(micros) => {
                format!("<p class=\"note good\">{what} in <b>{:.1} ms</b>. The workers do the rest.</p>\n", f64::from(micros) / 1000.0)
            }
            None => String::new(),
        }
    }
}
