//! Where the next part of a list begins: a place in the list's own order, so that what is added meanwhile moves nothing. Opaque: the name
//! of the list and the place, in base64.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Problem;

/// The text that a client passes back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Cursor(#[schemars(length(min = 1, max = 400))] String);

/// Behind this place of a list.
pub(crate) fn behind(list: &str, place: impl ToString) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list} {}", place.to_string()))
}

impl Cursor {
    /// The place, if this comes from the same list.
    pub(crate) fn place<T>(&self, list: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Problem> {
        let text = URL_SAFE_NO_PAD.decode(&self.0).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let place = text.as_deref().and_then(|text| text.split_once(' ')).filter(|(of, _)| *of == list).and_then(|(_, place)| read(place));
        place.ok_or_else(|| {
            let shown: String = self.0.chars().take(60).collect();
            let sentence = format!("\"{}\" is not a place of this list: pass on `next` of the part before", shown.escape_debug());
            Problem::unusable(sentence).about("after")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_list_and_to_no_other() {
        let cursor = Cursor(behind("jobs", i64::MAX));
        assert_eq!(cursor.place("jobs", |place| place.parse::<i64>().ok()).unwrap(), i64::MAX);
        assert!(cursor.place("audit", |place| place.parse::<i64>().ok()).is_err());
        for text in ["", "x", "42", "am9icw", "am9icyB4", "\u{0}"] {
            assert!(Cursor(text.to_owned()).place("jobs", |place| place.parse::<i64>().ok()).is_err(), "{text}");
        }
    }
}
