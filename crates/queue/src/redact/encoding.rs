//! Percent-encoding.

/// Without percent-encoding, as far as that yields visible ASCII; `None`: there is none.
pub(super) fn decoded(text: &str) -> Option<String> {
    let once = |text: &str| {
        let (mut plain, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
        while let Some(at) = rest.find('%') {
            let byte = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii_graphic);
            plain.push_str(&rest[..at]);
            plain.push(byte.map_or('%', char::from));
            rest = &rest[at + if byte.is_some() { 3 } else { 1 }..];
            any |= byte.is_some();
        }
        plain.push_str(rest);
        any.then_some(plain)
    };
    let mut plain = once(text)?;
    // One URL in another in another.
    for _ in 0..3 {
        let Some(deeper) = once(&plain) else { break };
        plain = deeper;
    }
    Some(plain)
}
