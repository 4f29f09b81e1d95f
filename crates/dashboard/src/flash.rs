//! What came of a form: the page that the browser is sent to afterwards shows it once. It travels in a cookie of a minute, so it needs no
//! script, and no link can put words of its own there.

use axum::http::HeaderMap;

use crate::{
    frame::cookie,
    show::{decode, encode},
};

const COOKIE: &str = "haulage_flash";
/// Longer sentences are cut: a browser keeps 4 KB of a cookie, and a character may take nine bytes here.
const MOST: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    /// Whether it was done.
    pub(crate) done: bool,
    pub(crate) sentence: String,
}

impl Flash {
    pub(crate) fn new(done: bool, sentence: impl Into<String>) -> Self {
        Self { done, sentence: sentence.into() }
    }

    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let (done, sentence) = cookie(headers, COOKIE)?.split_once('.')?;
        let sentence = decode(sentence).filter(|sentence| !sentence.is_empty())?;
        Some(Self { done: done == "1", sentence: sentence.chars().take(MOST).collect() })
    }

    /// For all paths: our own prefix is not known behind a proxy that takes it away.
    pub(crate) fn cookie(&self) -> String {
        let sentence: String = self.sentence.chars().take(MOST).collect();
        format!("{COOKIE}={}.{}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax", u8::from(self.done), encode(sentence))
    }

    pub(crate) fn end() -> String {
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_comes_back_as_it_was() {
        for sentence in ["Job 42 was dead and is available.", "ä; \"q\"=<b>\r\n100 %", &"ö".repeat(400)] {
            let mut headers = HeaderMap::new();
            let set = Flash::new(true, sentence).cookie();
            assert!(set.len() < 4_000 && set.is_ascii() && !set.contains('\n'), "{set}");
            headers.insert("cookie", set.split(';').next().unwrap().parse().unwrap());
            assert_eq!(Flash::of(&headers), Some(Flash::new(true, sentence)));
        }
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "haulage_flash=1.%zz".parse().unwrap());
        assert_eq!(Flash::of(&headers), None);
    }
}
