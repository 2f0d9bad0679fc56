//! The text of a key under which a call's result is kept, for idempotency and for the cache: `name|version|arguments`,
//! or what a key function answered in place of the arguments. The same in every face, so that calls from Rust and
//! from Python meet.

use crate::payload::Payload;

/// Arguments of more bytes than this stand in a key as their digest.
const ARGUMENTS_BYTES: usize = 200;

/// What stands for a version where there is none.
const NO_VERSION: &str = "None";

/// The key of a call by its arguments, a JSON array of the bound ones. Equal arguments give one key, however their
/// JSON is written; past 200 bytes their digest stands for them.
///
/// ```
/// use stent_core::{Payload, key_text};
///
/// let args = Payload::json(&["user-123"]).unwrap();
/// assert_eq!(key_text::of_arguments("mails:welcome", None, &args), "mails:welcome|None|[\"user-123\"]");
/// ```
#[must_use]
pub fn of_arguments(name: &str, version: Option<&str>, args: &Payload) -> String {
    // serde_json's map is sorted by key, so parsing and printing gives the canonical form.
    let canonical = match (args.read::<serde_json::Value>(), args.open()) {
        (Ok(value), _) => value.to_string(),
        (Err(_), Ok((codec, bytes))) => format!("{codec}:{}", blake3::hash(&bytes)),
        (Err(error), Err(_)) => error.to_string(),
    };
    if canonical.len() > ARGUMENTS_BYTES {
        return of_answer(name, version, &format!("blake3:{}", blake3::hash(canonical.as_bytes())));
    }
    of_answer(name, version, &canonical)
}

/// The key of a call by what its key function answered.
///
/// ```
/// use stent_core::key_text;
/// assert_eq!(key_text::of_answer("shop:charge", Some("v2"), "charge:7"), "shop:charge|v2|charge:7");
/// ```
#[must_use]
pub fn of_answer(name: &str, version: Option<&str>, answer: &str) -> String {
    format!("{name}|{}|{answer}", version.unwrap_or(NO_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Codec;

    #[test]
    fn equal_arguments_give_one_key_however_they_are_written() {
        let one = Payload::new(&Codec::Json, b"[{\"a\":1, \"b\":2}]").unwrap();
        let two = Payload::new(&Codec::Json, b"[ {\"b\":2,\"a\":1} ]").unwrap();
        assert_eq!(of_arguments("f", None, &one), "f|None|[{\"a\":1,\"b\":2}]");
        assert_eq!(of_arguments("f", None, &one), of_arguments("f", None, &two));
        assert_ne!(of_arguments("f", Some("v2"), &one), of_arguments("f", None, &one));
    }

    #[test]
    fn arguments_over_two_hundred_bytes_stand_there_as_their_digest() {
        let args = |length: usize| Payload::json(&["x".repeat(length)]).unwrap();
        assert_eq!(of_arguments("f", None, &args(196)).len(), "f|None|".len() + 200);
        let digest = of_arguments("f", None, &args(197));
        assert_eq!((digest.len(), digest.starts_with("f|None|blake3:")), ("f|None|blake3:".len() + 64, true));
        assert_ne!(digest, of_arguments("f", None, &args(198)));
        let pickled = Payload::new(&Codec::Pickle, b"\x80\x04").unwrap();
        assert!(of_arguments("f", None, &pickled).starts_with("f|None|pickle:"));
    }
}
