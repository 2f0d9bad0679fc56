//! Payloads: bytes with the name of the codec that made them and a checksum. The engine and the stores never look
//! inside; a damaged one is found on read and harms no other task.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::PAYLOAD_BYTES;

/// Who can read the bytes. Nothing is ever decoded by a codec other than the one that is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// UTF-8 JSON: what Rust writes, and Python unless told otherwise.
    Json,
    /// Python's pickle. Only an executor that chose it decodes it.
    Pickle,
    /// A serializer of the user's own, by its name.
    Custom(Arc<str>),
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Pickle => "pickle",
            Self::Custom(name) => name,
        })
    }
}

/// An immutable value of the user's in its stored form: four bytes of checksum, the codec's tag, then the bytes
/// themselves (so JSON stays legible in SQL from byte six on). Stores move it without looking inside; it is
/// verified when it is opened, so a damaged one harms only who reads it. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Bytes);

/// Where the user's bytes begin when the codec has a one-letter tag.
const HEADER: usize = 5;

impl Payload {
    /// Bytes that `codec` made.
    ///
    /// # Errors
    /// [`PayloadError::TooLarge`] past 16 MiB.
    pub fn new(codec: &Codec, bytes: &[u8]) -> Result<Self, PayloadError> {
        let mut out = Vec::with_capacity(bytes.len() + HEADER);
        out.extend_from_slice(&[0; 4]);
        match codec {
            Codec::Json => out.push(b'j'),
            Codec::Pickle => out.push(b'p'),
            Codec::Custom(name) => {
                let name = &name.as_bytes()[..name.len().min(255)];
                out.push(b'c');
                out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(name);
            }
        }
        out.extend_from_slice(bytes);
        Self::seal(out, bytes.len())
    }

    /// The JSON of `value`.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] when serde cannot carry the value, [`PayloadError::TooLarge`] past 16 MiB.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&[0, 0, 0, 0, b'j']);
        serde_json::to_writer(&mut out, value).map_err(PayloadError::Encode)?;
        let bytes = out.len() - HEADER;
        Self::seal(out, bytes)
    }

    fn seal(mut stored: Vec<u8>, bytes: usize) -> Result<Self, PayloadError> {
        if bytes > PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { bytes });
        }
        let sum = checksum(&stored[4..]);
        stored[..4].copy_from_slice(&sum);
        Ok(Self(stored.into()))
    }

    /// JSON `null`: the result of what returns nothing.
    #[must_use]
    pub fn null() -> Self {
        Self::json(&()).unwrap_or_else(|_| Self(Bytes::new()))
    }

    /// What a store gave back, unverified.
    #[must_use]
    pub fn from_stored(stored: impl Into<Bytes>) -> Self {
        Self(stored.into())
    }

    /// What a store keeps.
    #[must_use]
    pub const fn as_stored(&self) -> &Bytes {
        &self.0
    }

    /// Verifies the checksum and tells the codec from the user's bytes.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`] when checksum or layout does not hold.
    pub fn open(&self) -> Result<(Codec, Bytes), PayloadError> {
        let stored = &self.0;
        let damaged = || PayloadError::Damaged { bytes: stored.len() };
        let (sum, rest) = stored.split_first_chunk::<4>().ok_or_else(damaged)?;
        if checksum(rest) != *sum {
            return Err(damaged());
        }
        match rest.first().ok_or_else(damaged)? {
            b'j' => Ok((Codec::Json, stored.slice(HEADER..))),
            b'p' => Ok((Codec::Pickle, stored.slice(HEADER..))),
            b'c' => {
                let len = usize::from(*rest.get(1).ok_or_else(damaged)?);
                let name = rest.get(2..2 + len).ok_or_else(damaged)?;
                let name = std::str::from_utf8(name).map_err(|_| damaged())?;
                Ok((Codec::Custom(name.into()), stored.slice(6 + len..)))
            }
            _ => Err(damaged()),
        }
    }

    /// Reads the JSON value back.
    ///
    /// # Errors
    /// [`PayloadError::Damaged`], [`PayloadError::OtherCodec`] when JSON did not write it, [`PayloadError::Decode`]
    /// when it does not fit `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match self.open()? {
            (Codec::Json, bytes) => serde_json::from_slice(&bytes).map_err(PayloadError::Decode),
            (found, _) => Err(PayloadError::OtherCodec { found }),
        }
    }

    /// A digest that is the same for equal values: JSON with its keys sorted and blanks dropped, other codecs byte by
    /// byte. Sixteen bytes verify arguments on replay; they identify nothing.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        // serde_json's map is sorted by key, so parsing and printing gives the canonical form.
        let canonical = self.read::<serde_json::Value>().map(|value| value.to_string());
        let hash = match &canonical {
            Ok(text) => blake3::hash(text.as_bytes()),
            Err(_) => blake3::hash(self.0.get(4..).unwrap_or_default()),
        };
        *hash.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16])
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    *blake3::hash(bytes).as_bytes().first_chunk::<4>().unwrap_or(&[0; 4])
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.open() {
            Ok((codec, bytes)) => write!(f, "{codec}:{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)])),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// What can be wrong with a payload.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// More than 16 MiB.
    #[error("a payload of {bytes} bytes is over the limit of 16 MiB: store it elsewhere and pass its address")]
    TooLarge {
        /// The size that was refused.
        bytes: usize,
    },
    /// serde could not write the value.
    #[error("the value cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
    /// The JSON does not fit the type that is asked for.
    #[error("the stored JSON does not fit the type it is read as: {0}")]
    Decode(#[source] serde_json::Error),
    /// Another codec wrote it.
    #[error("the payload was written by the serializer \"{found}\", not by json")]
    OtherCodec {
        /// The codec that wrote it.
        found: Codec,
    },
    /// The checksum does not hold.
    #[error("a stored payload of {bytes} bytes is damaged: its checksum does not hold")]
    Damaged {
        /// How many bytes were found.
        bytes: usize,
    },
}

/// What sort of failure ended a step, an attempt or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The user's code returned or raised an error.
    Error,
    /// The user's code panicked.
    Panic,
    /// A wait, an attempt or an execution took longer than it may.
    Timeout,
    /// The task was cancelled.
    Cancelled,
    /// Its workers died under it too often.
    Lost,
    /// A stored payload could not be read.
    Payload,
    /// The code does not fit the recorded history.
    NonDeterministic,
}

/// A failure as it is recorded, replayed and shown: what the user's error said, and its own data if it has any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// The error's own words.
    pub message: String,
    /// The user's error as JSON, or null.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
    /// Never to be tried again, whatever the policy allows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
    /// Milliseconds to wait before the next attempt instead of the policy's delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure of this kind with these words.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: serde_json::Value::Null, permanent: false, retry_after_ms: None }
    }

    /// The failure as a payload. Words and details past the payload limit are cut, never refused: a failure must
    /// always be recordable.
    #[must_use]
    pub fn to_payload(&self) -> Payload {
        Payload::json(self).unwrap_or_else(|_| {
            let mut cut = Self::new(self.kind, self.message.chars().take(10_000).collect::<String>());
            (cut.permanent, cut.retry_after_ms) = (self.permanent, self.retry_after_ms);
            Payload::json(&cut).unwrap_or_else(|_| Payload::null())
        })
    }

    /// Reads a recorded failure; one that cannot be read is itself a failure of kind [`FailureKind::Payload`].
    #[must_use]
    pub fn from_payload(payload: &Payload) -> Self {
        payload.read().unwrap_or_else(|error| Self::new(FailureKind::Payload, error.to_string()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_round_trip_and_any_flipped_bit_is_noticed(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            for codec in [Codec::Json, Codec::Pickle, Codec::Custom("mine".into())] {
                let payload = Payload::new(&codec, &bytes).unwrap();
                let mut stored = payload.as_stored().to_vec();
                prop_assert_eq!(Payload::from_stored(stored.clone()).open().unwrap(), (codec, bytes.clone().into()));
                let i = at.index(stored.len());
                stored[i] ^= 1 << bit;
                prop_assert!(Payload::from_stored(stored).open().is_err());
            }
        }
    }

    #[test]
    fn a_maps_order_and_blanks_do_not_change_the_digest() {
        let one = Payload::new(&Codec::Json, b"{\"a\":1,\"b\":[1, 2]}").unwrap();
        let two = Payload::new(&Codec::Json, b"{ \"b\":[1,2], \"a\":1 }").unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), Payload::json(&1).unwrap().digest());
    }

    #[test]
    fn one_byte_more_than_the_limit_is_refused_and_the_limit_is_not() {
        assert!(Payload::new(&Codec::Json, &vec![b'1'; PAYLOAD_BYTES]).is_ok());
        let error = Payload::new(&Codec::Json, &vec![b'1'; PAYLOAD_BYTES + 1]).unwrap_err();
        assert!(error.to_string().contains("16 MiB"));
    }
}
