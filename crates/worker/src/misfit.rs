//! Why args did not parse, without what stood in them: an error's text goes to the log, the history and the spans.

/// What serde said, with the place and what was expected, and without the value. A type's own message may hold anything, so it is left
/// out as a whole.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde_json puts the place last.
    let (text, place) = text.rsplit_once(" at line ").unwrap_or((&text, "?"));
    let what = match text.split_once(": ") {
        // A field's name is the type's.
        _ if text.starts_with("missing field `") => text.to_owned(),
        Some((said @ ("invalid type" | "invalid value" | "invalid length"), rest)) => match rest.rsplit_once(", expected ") {
            Some((found, expected)) => {
                let kind = found.split(['"', '`', '\'']).next().unwrap_or_default().trim_end();
                let kind = if said == "invalid length" { "" } else { kind };
                format!("{said}: {kind}, expected {expected}").replace(": ,", ",")
            }
            None => said.to_owned(),
        },
        _ if text.starts_with("unknown variant `") => "unknown variant".to_owned(),
        _ if text.starts_with("unknown field `") => "unknown field".to_owned(),
        _ => "a value that the type does not take".to_owned(),
    };
    format!("{what} at line {place}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Args {
        #[expect(dead_code, reason = "only parsed")]
        order: i64,
        #[expect(dead_code, reason = "only parsed")]
        how: Option<How>,
    }

    #[derive(Debug, Deserialize)]
    enum How {
        Fast,
    }

    #[test]
    fn it_says_what_is_wrong_and_never_the_value() {
        let said = |args: &str| describe(&serde_json::from_str::<Args>(args).unwrap_err());
        assert_eq!(said(r#"{"order": "hunter2, expected x"}"#), "invalid type: string, expected i64 at line 1 column 31");
        assert_eq!(said(r#"{"order": 7.25}"#), "invalid type: floating point, expected i64 at line 1 column 14");
        assert_eq!(said("{}"), "missing field `order` at line 1 column 2");
        assert_eq!(said(r#"{"order": 1, "hunter2": 1}"#), "unknown field at line 1 column 22");
        assert_eq!(said(r#"{"order": 1, "how": "hunter2"}"#), "unknown variant at line 1 column 29");
        let _ = How::Fast;
    }
}
