//! What Postgres and every reader can take as JSON: checked before a statement is sent, so that a bad value gets a clear error
//! and fails no neighbour.

/// The longest args of a job, in bytes of JSON text: 1 MiB.
pub const MAX_ARGS_BYTES: usize = 1 << 20;
/// The deepest nesting of args; `serde_json` itself stops reading at 128.
pub const MAX_ARGS_DEPTH: usize = 100;
/// The longest recorded output, in bytes of JSON text: 64 KiB.
pub const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// The longest meta, in bytes of JSON text: 64 KiB.
pub(crate) const MAX_META_BYTES: usize = 64 << 10;

/// Why a JSON text can't be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsProblem {
    /// Longer than its limit.
    #[error("{bytes} bytes long, over the limit of {limit}: store the data in a table and pass its key")]
    TooLong {
        /// Length of the JSON text.
        bytes: usize,
        /// The limit it is over.
        limit: usize,
    },
    /// Nested deeper than [`MAX_ARGS_DEPTH`].
    #[error("nested deeper than {MAX_ARGS_DEPTH} levels: flatten it, or store the data in a table and pass its key")]
    TooDeep,
    /// Postgres can't store the character NUL.
    #[error("it holds the character \\u0000, which Postgres can't store: strip it, or encode the bytes as base64")]
    Nul,
    /// Half of a UTF-16 pair, which is no character.
    #[error("it holds the lone surrogate {escape}, which is no character: fix the text at its source")]
    LoneSurrogate {
        /// The escape as written.
        escape: String,
    },
    /// A number no reader could take.
    #[error("it holds the number {number}, which does not fit a 64-bit float: pass it as a string")]
    Number {
        /// The number as written, cut after 40 characters.
        number: String,
    },
}

/// Checks a JSON text that `serde_json` wrote. One pass, no allocation.
///
/// # Errors
/// The first [`ArgsProblem`] found.
pub fn check_json(json: &str, limit: usize) -> Result<(), ArgsProblem> {
    if json.len() > limit {
        return Err(ArgsProblem::TooLong { bytes: json.len(), limit });
    }
    let bytes = json.as_bytes();
    let (mut i, mut depth) = (0, 0_usize);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => i = check_string(json, i + 1)?,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_ARGS_DEPTH {
                    return Err(ArgsProblem::TooDeep);
                }
                i += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            b'-' | b'0'..=b'9' => i = check_number(json, i)?,
            _ => i += 1,
        }
    }
    Ok(())
}

/// Returns the index after the closing quote of the string whose content starts at `i`.
fn check_string(json: &str, mut i: usize) -> Result<usize, ArgsProblem> {
    let bytes = json.as_bytes();
    while i < bytes.len() && bytes[i] != b'"' {
        if bytes[i] != b'\\' {
            i += 1;
            continue;
        }
        if bytes.get(i + 1) != Some(&b'u') {
            i += 2;
            continue;
        }
        let unit = |at: usize| json.get(at + 2..at + 6).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        match unit(i) {
            Some(0) => return Err(ArgsProblem::Nul),
            Some(0xD800..=0xDBFF)
                if bytes.get(i + 6) == Some(&b'\\') && bytes.get(i + 7) == Some(&b'u') && matches!(unit(i + 6), Some(0xDC00..=0xDFFF)) =>
            {
                i += 12;
            }
            Some(0xD800..=0xDFFF) => {
                return Err(ArgsProblem::LoneSurrogate { escape: json.get(i..i + 6).unwrap_or_default().to_owned() });
            }
            _ => i += 6,
        }
    }
    Ok(i + 1)
}

/// Returns the index after the number that starts at `i`.
fn check_number(json: &str, i: usize) -> Result<usize, ArgsProblem> {
    let length = json[i..].bytes().take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count();
    let number = &json[i..i + length];
    // Short numbers without an exponent always fit.
    if length > 300 || number.contains(['e', 'E']) {
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() => {}
            _ => return Err(ArgsProblem::Number { number: number.chars().take(40).collect() }),
        }
    }
    Ok(i + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), ArgsProblem> {
        check_json(json, MAX_ARGS_BYTES)
    }

    #[test]
    fn ordinary_json_passes() {
        for json in ["null", "{}", r#"{"a":[1,-2.5,1e10,"x\"y\\",true]}"#, r#""\ud83d\ude00 \n \u00e4""#, r#""\\u0000""#] {
            assert_eq!(check(json), Ok(()), "{json}");
        }
    }

    #[test]
    fn what_postgres_or_a_reader_would_refuse_is_named() {
        assert_eq!(check(r#"{"a":"\u0000"}"#), Err(ArgsProblem::Nul));
        assert!(matches!(check(r#"["\ud800x"]"#), Err(ArgsProblem::LoneSurrogate { escape }) if escape == "\\ud800"));
        assert!(matches!(check(r#"["\udc00"]"#), Err(ArgsProblem::LoneSurrogate { .. })));
        assert!(matches!(check(r#"["\ud800\u0041"]"#), Err(ArgsProblem::LoneSurrogate { .. })));
        assert!(matches!(check("[1e400]"), Err(ArgsProblem::Number { number }) if number == "1e400"));
        assert_eq!(check(&"[".repeat(101)), Err(ArgsProblem::TooDeep));
        assert_eq!(check(&format!("{}{}", "[".repeat(100), "]".repeat(100))), Ok(()));
        assert!(
            matches!(check(&format!("\"{}\"", "x".repeat(MAX_ARGS_BYTES))), Err(ArgsProblem::TooLong { bytes, .. }) if bytes == MAX_ARGS_BYTES + 2)
        );
    }

    #[test]
    fn brackets_and_digits_inside_strings_do_not_count() {
        assert_eq!(check(&format!("\"{}1e999\"", "[".repeat(500))), Ok(()));
    }
}
