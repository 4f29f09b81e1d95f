//! Names of kinds and queues: 1 to 128 of `A-Z a-z 0-9 _ . : / -`.

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A kind or queue name outside `[A-Za-z0-9_.:/-]{1,128}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("the {what} name \"{}\" is not valid: use 1 to 128 of the characters A-Z a-z 0-9 _ . : / -", .name.escape_debug())]
pub struct NameError {
    /// "kind" or "queue".
    pub what: &'static str,
    /// The name as given, cut after 200 characters.
    pub name: String,
}

/// Whether `name` may name a kind or a queue. Usable in constants.
pub const fn valid_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_NAME_BYTES {
        return false;
    }
    let mut i = 0;
    while i < bytes.len() {
        if !matches!(bytes[i], b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'/' | b'-') {
            return false;
        }
        i += 1;
    }
    true
}

/// [`valid_name`] with an error that names the value; `what` is "kind" or "queue".
///
/// # Errors
/// [`NameError`] when the name is not valid.
pub fn check_name(what: &'static str, name: &str) -> Result<(), NameError> {
    if valid_name(name) {
        return Ok(());
    }
    Err(NameError { what, name: name.chars().take(200).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_for_length_and_characters() {
        for good in ["a", "send_email", "App::Mail/send-1.2", &"x".repeat(128)] {
            assert!(valid_name(good), "{good}");
        }
        for bad in ["", " ", "a b", "ä", "a\n", "a'b", &"x".repeat(129)] {
            assert!(!valid_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_error_names_the_value_and_the_remedy() {
        let error = check_name("queue", "my queue").unwrap_err().to_string();
        assert!(error.contains("\"my queue\"") && error.contains("1 to 128"), "{error}");
    }
}
