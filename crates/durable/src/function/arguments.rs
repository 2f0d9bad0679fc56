//! The arguments of a durable function: a tuple in the user's code, a JSON array in the store. An array says by place
//! what an object would by name, so a renamed parameter strands nothing; an object by name is understood too.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stent_core::payload::PayloadError;
use stent_core::{Codec, Payload};

/// The arguments of a durable function, in order, as a tuple. Implemented for tuples of up to twelve values that serde
/// carries.
///
/// ```
/// # use durable::Function;
/// #[durable::function]
/// async fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
///
/// fn of<F: Function<Args = (u64, u64)>>(_: F) {}
/// of(add);
/// ```
pub trait Arguments: Send + 'static {
    /// Their JSON, an array.
    #[doc(hidden)]
    fn write(&self) -> Result<Payload, PayloadError>;

    /// Reads an array, or an object by the parameters' names.
    #[doc(hidden)]
    fn read(payload: &Payload, parameters: &[&str]) -> Result<Self, ArgumentError>
    where
        Self: Sized;
}

/// A value that can be an argument. Implemented for every type that serde carries.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a durable function",
    label = "not a value that can be stored",
    note = "arguments are stored as JSON: derive `serde::Serialize` and `serde::Deserialize`"
)]
pub trait Argument: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Argument for T {}

/// Asks whether a type can be an argument, where it is written.
#[doc(hidden)]
pub const fn argument<T: Argument>() {}

/// What can stand for the arguments of a call that is not written as one: the tuple, or the value itself where there is
/// only one.
///
/// ```
/// # use durable::Durable;
/// #[durable::function]
/// async fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// # async fn start(client: &Durable) -> Result<(), durable::DurableError> {
/// client.dispatch(double, 21).await?;
/// client.dispatch(double, (21,)).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not stand for the arguments `{A}`",
    note = "give the function's arguments as a tuple, in order; one alone may stand by itself"
)]
pub trait IntoArguments<A> {
    /// The tuple.
    ///
    /// ```
    /// use durable::IntoArguments;
    ///
    /// let pair: (String, u64) = ("ann".to_owned(), 3).into_arguments();
    /// let alone: (u64,) = 3.into_arguments();
    /// assert_eq!((pair.1, alone.0), (3, 3));
    /// ```
    fn into_arguments(self) -> A;
}

impl<A> IntoArguments<(A,)> for A {
    fn into_arguments(self) -> (A,) {
        (self,)
    }
}

/// Arguments that do not fit their function.
#[doc(hidden)]
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("{0}")]
    Shape(String),
}

/// The values by place, given an array or an object by name.
fn by_place(payload: &Payload, parameters: &[&str]) -> Result<Bytes, ArgumentError> {
    let (codec, json) = payload.open()?;
    if codec != Codec::Json {
        return Err(PayloadError::OtherCodec { found: codec }.into());
    }
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(json);
    }
    let mut named: Map<String, Value> = serde_json::from_slice(&json).map_err(PayloadError::Decode)?;
    let values: Vec<Value> = parameters.iter().map(|name| named.remove(*name).unwrap_or_default()).collect();
    if let Some(unknown) = named.keys().next() {
        let known = parameters.join(", ");
        return Err(ArgumentError::Shape(format!("there is no argument \"{unknown}\"; there are: {known}")));
    }
    Ok(serde_json::to_vec(&values).map_err(PayloadError::Encode)?.into())
}

impl Arguments for () {
    fn write(&self) -> Result<Payload, PayloadError> {
        Payload::new(&Codec::Json, b"[]")
    }

    fn read(payload: &Payload, parameters: &[&str]) -> Result<Self, ArgumentError> {
        let json = by_place(payload, parameters)?;
        match serde_json::from_slice::<Option<[(); 0]>>(&json) {
            Ok(_) => Ok(()),
            Err(error) => Err(PayloadError::Decode(error).into()),
        }
    }
}

impl IntoArguments<()> for () {
    fn into_arguments(self) {}
}

macro_rules! tuples {
    ($(($($argument:ident),+);)+) => {$(
        impl<$($argument: Argument),+> Arguments for ($($argument,)+) {
            fn write(&self) -> Result<Payload, PayloadError> {
                Payload::json(self)
            }

            fn read(payload: &Payload, parameters: &[&str]) -> Result<Self, ArgumentError> {
                let json = by_place(payload, parameters)?;
                Ok(serde_json::from_slice(&json).map_err(PayloadError::Decode)?)
            }
        }

        impl<$($argument),+> IntoArguments<($($argument,)+)> for ($($argument,)+) {
            fn into_arguments(self) -> ($($argument,)+) {
                self
            }
        }
    )+};
}

tuples! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
    (A, B, C, D, E, F, G);
    (A, B, C, D, E, F, G, H);
    (A, B, C, D, E, F, G, H, I);
    (A, B, C, D, E, F, G, H, I, J);
    (A, B, C, D, E, F, G, H, I, J, K);
    (A, B, C, D, E, F, G, H, I, J, K, L);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<A: Arguments>(json: &str, parameters: &[&str]) -> Result<A, String> {
        let payload = Payload::new(&Codec::Json, json.as_bytes()).unwrap();
        A::read(&payload, parameters).map_err(|error| error.to_string())
    }

    #[test]
    fn an_array_is_read_by_place_and_an_object_by_name() {
        assert_eq!(read::<(String, u64)>("[\"a\", 5]", &["id", "cents"]), Ok(("a".into(), 5)));
        assert_eq!(read::<(String, u64)>("{\"cents\": 5, \"id\": \"a\"}", &["id", "cents"]), Ok(("a".into(), 5)));
        assert_eq!(read::<(Option<u64>,)>("{}", &["n"]), Ok((None,)));
        assert_eq!(read::<()>("[]", &[]), Ok(()));
        assert_eq!(read::<()>("null", &[]), Ok(()));
        assert_eq!(().write().unwrap().read::<Value>().unwrap(), serde_json::json!([]));
        assert_eq!((1, "a".to_owned()).write().unwrap().read::<Value>().unwrap(), serde_json::json!([1, "a"]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(read::<(u64,)>("[1, 2]", &["n"]).unwrap_err().contains("trailing"));
        assert!(read::<(u64, u64)>("[1]", &["a", "b"]).unwrap_err().contains("length 1"));
        assert!(read::<()>("[1]", &[]).is_err());
        let unknown = read::<(u64,)>("{\"n\": 1, \"x\": 2}", &["n"]).unwrap_err();
        assert_eq!(unknown, "there is no argument \"x\"; there are: n");
    }

    #[test]
    fn a_payload_in_another_codec_is_named_and_not_guessed_at() {
        // It would be right JSON, if it were.
        let pickled = Payload::new(&Codec::Pickle, b"[5]").unwrap();
        let refused = <(u64,)>::read(&pickled, &["n"]).unwrap_err().to_string();
        assert_eq!(refused, "the payload was written by the serializer \"pickle\", not by json");
        let named = Payload::new(&Codec::Custom("mine".into()), b"{\"n\": 5}").unwrap();
        assert!(<(u64,)>::read(&named, &["n"]).unwrap_err().to_string().contains("\"mine\""));
    }
}
