//! The W3C header `baggage`: `key=value;property, key=value`, values percent-encoded.

/// The most that is stored.
const MAX: usize = 1_024;

/// The members whose keys are allowed, as they are, in order, as many as fit.
pub(crate) fn allowed(header: &str, keys: &[String]) -> Option<String> {
    if keys.is_empty() {
        return None;
    }
    let members = header.split(',').map(str::trim).filter(|member| {
        let key = member.split(['=', ';']).next().unwrap_or_default().trim();
        member.contains('=') && keys.iter().any(|allowed| allowed == key)
    });
    join(members.map(ToOwned::to_owned))
}

/// Members as a header, as many as fit.
pub(crate) fn join(members: impl Iterator<Item = String>) -> Option<String> {
    let mut text = String::new();
    for member in members {
        if text.len() + 1 + member.len() <= MAX {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&member);
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Keys and values of a stored header.
#[cfg(feature = "otel")]
pub(crate) fn entries(header: &str) -> impl Iterator<Item = (String, String)> {
    header.split(',').filter_map(|member| {
        let (key, value) = member.split(';').next()?.split_once('=')?;
        Some((key.trim().to_owned(), decode(value.trim())?))
    })
}

/// A member.
#[cfg(feature = "otel")]
pub(crate) fn member(key: &str, value: &str) -> String {
    let mut text = format!("{key}=");
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'!' | b':' | b'/' | b'@' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(feature = "otel")]
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut out) = (text.bytes(), Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            out.push(u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_keys_pass() {
        let keys = ["tenant".to_owned(), "plan".to_owned()];
        assert_eq!(allowed("tenant=acme, user=ada,plan = gold;x=1,broken", &keys).as_deref(), Some("tenant=acme,plan = gold;x=1"));
        assert_eq!(allowed("user=ada", &keys), None);
        assert_eq!(allowed("tenant=acme", &[]), None);
        assert_eq!(allowed(&format!("tenant={},plan=gold", "x".repeat(MAX)), &keys).as_deref(), Some("plan=gold"));
    }

    #[cfg(feature = "otel")]
    #[test]
    fn a_value_survives_the_way_into_the_header_and_back() {
        for value in ["acme", "a b,c;d=é%", ""] {
            let header = member("tenant", value);
            assert_eq!(entries(&header).collect::<Vec<_>>(), [("tenant".to_owned(), value.to_owned())], "{header}");
        }
        assert_eq!(entries("a=%zz,b").count(), 0);
    }
}
