//! Args that somebody edits without seeing the secrets in them: what stands hidden in the editor stays as it is when it comes back.

use haulage_queue::store::JsonText;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Refusal;
use crate::show::{MASK, hides as is_unseen, is_secret, mask};

/// Args as they can be edited.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Indented, with the secrets hidden.
    pub(crate) text: String,
    /// Of what they are now; see [`fingerprint`].
    pub(crate) seen: String,
    /// Whether anything is hidden.
    pub(crate) hides: bool,
}

/// Args for an editor; `None`: they are not all there, being too long to be edited here.
pub(crate) fn shown(args: &JsonText) -> Option<Shown> {
    if args.text.chars().count() < args.length {
        return None;
    }
    let value: Value = serde_json::from_str(&args.text).ok()?;
    let hidden = hide(&value);
    let hides = hidden != value;
    let printed = serde_json::to_string_pretty(if hides { &hidden } else { &value }).ok()?;
    // A number with more digits than a float has would come back as another one; the text as Postgres has it keeps each.
    let text = if !hides && digits(&printed) != digits(&args.text) { args.text.clone() } else { printed };
    let text = escape_unseen(&text);
    Some(Shown { text, seen: fingerprint(&args.text), hides })
}

/// Of args as Postgres writes them: tells whether they are still the same.
pub(crate) fn fingerprint(args: &str) -> String {
    Sha256::digest(args).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The edited args with the secrets put back.
pub(super) fn restore(edited: &str, old: &str) -> Result<String, Refusal> {
    let bad = |error: serde_json::Error| Refusal::Unreadable(format!("The new args are no JSON: {error}."));
    let mut value: Value = serde_json::from_str(edited).map_err(bad)?;
    if !edited.contains(MASK) {
        return Ok(edited.to_owned());
    }
    let old: Value = serde_json::from_str(old).map_err(bad)?;
    put_back(&mut value, Some(&old), Some(&hide(&old)), &mut String::from("$"))?;
    Ok(value.to_string())
}

/// What an editor shows of a value.
fn hide(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text).into_owned()),
        Value::Array(values) => values.iter().map(hide).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), if is_secret(name) { Value::String(MASK.to_owned()) } else { hide(value) }))
            .collect(),
        other => other.clone(),
    }
}

fn put_back(edited: &mut Value, old: Option<&Value>, hidden: Option<&Value>, path: &mut String) -> Result<(), Refusal> {
    if let (Some(old), Some(hidden)) = (old, hidden)
        && *edited == *hidden
    {
        *edited = old.clone();
        return Ok(());
    }
    let length = path.len();
    match edited {
        Value::String(text) if text.contains(MASK) => {
            return Err(Refusal::Unreadable(format!(
                "At {path} stands {MASK}, and no secret that it could mean: leave a hidden value as it is, or write a whole new one."
            )));
        }
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                put_back(value, old.and_then(|old| old.get(index)), hidden.and_then(|hidden| hidden.get(index)), path)?;
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                path.push_str(&format!(".{name}"));
                put_back(value, old.and_then(|old| old.get(name)), hidden.and_then(|hidden| hidden.get(name)), path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Characters that a page shows as others would come back as those: here they stand as JSON's escapes. They can only be inside of strings.
fn escape_unseen(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        r#"{"to": "a@example.org", "api_key": "hunter2", "urls": ["postgres://app:hunter3@db/x", "b"], "n": 12345678901234567890}"#;

    fn text(text: &str) -> JsonText {
        JsonText { text: text.to_owned(), length: text.chars().count() }
    }

    #[test]
    fn secrets_are_not_in_the_editor_and_stay_when_it_comes_back() {
        let editor = shown(&text(OLD)).unwrap();
        assert!(editor.hides && !editor.text.contains("hunter"), "{}", editor.text);
        let restored: Value = serde_json::from_str(&restore(&editor.text, OLD).unwrap()).unwrap();
        assert_eq!(restored, serde_json::from_str::<Value>(OLD).unwrap());
        let edited = editor.text.replace("a@example.org", "b@example.org");
        let restored: Value = serde_json::from_str(&restore(&edited, OLD).unwrap()).unwrap();
        assert_eq!((&restored["to"], &restored["api_key"]), (&Value::from("b@example.org"), &Value::from("hunter2")));
        assert_eq!(restored["urls"][0], "postgres://app:hunter3@db/x");
    }

    #[test]
    fn a_mask_that_means_no_secret_is_refused_with_its_place() {
        for (edited, place) in [
            (r#"{"to": "••••••"}"#, "$.to"),
            (r#"{"urls": ["x", "••••••"]}"#, "$.urls[1]"),
            (r#"{"new": {"api_key": "••••••"}}"#, "$.new.api_key"),
        ] {
            let refusal = restore(edited, OLD).unwrap_err().sentence();
            assert!(refusal.contains(place), "{refusal}");
        }
        assert!(restore("{", OLD).unwrap_err().sentence().contains("no JSON"));
    }

    #[test]
    fn args_without_secrets_keep_every_digit() {
        let odd = r#"{"n": 1.00000000000000000001}"#;
        let editor = shown(&text(odd)).unwrap();
        assert!(editor.text.contains("1.00000000000000000001") && !editor.hides, "{}", editor.text);
        assert_eq!(restore(&editor.text, odd).unwrap(), editor.text);
    }

    #[test]
    fn characters_that_no_page_shows_come_back_as_they_were() {
        let old = "{\"a\": \"x\u{200d}y\u{e0041}\"}";
        let editor = shown(&text(old)).unwrap();
        assert!(editor.text.contains("\\u200d") && !editor.text.chars().any(is_unseen), "{}", editor.text);
        let back: Value = serde_json::from_str(&restore(&editor.text, old).unwrap()).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(old).unwrap());
    }

    #[test]
    fn args_that_are_cut_are_not_edited() {
        assert!(shown(&JsonText { text: "{\"a\"".to_owned(), length: 100 }).is_none());
    }
}
