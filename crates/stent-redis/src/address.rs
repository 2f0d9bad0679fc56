//! The address of a Redis, and the channel in it. An address is never repeated in an error: it may hold a password.

use redis::Client;
use stent_core::{StoreError, StoreErrorKind};

/// The channel of those who name none.
const CHANNEL: &str = "stent";

/// Where the bus is.
pub(crate) struct Address {
    pub(crate) client: Client,
    pub(crate) channel: String,
    /// As it was given.
    pub(crate) text: String,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        if text.starts_with("rediss:") {
            return Err(refused("this build speaks to Redis without TLS", None));
        }
        let (place, parameters) = text.split_once('?').unwrap_or((text, ""));
        let mut channel = CHANNEL;
        let mut others = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.strip_prefix("channel=") {
                Some("") => return Err(refused("the parameter `channel` of Redis's address is empty", None)),
                Some(name) => channel = name,
                None => others.push(parameter),
            }
        }
        let rest = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
        let client = Client::open(format!("{place}{rest}"));
        let client = client.map_err(|error| refused("this is no address of a Redis", Some(error)))?;
        Ok(Self { client, channel: channel.to_owned(), text: text.to_owned() })
    }
}

fn refused(problem: &str, source: Option<redis::RedisError>) -> StoreError {
    let error = StoreError::new(StoreErrorKind::Unusable, problem);
    let error = error.with_hint("write `redis://HOST:PORT` or `redis+unix:///PATH`, say `redis://localhost:6379`");
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_may_name_a_channel() {
        for (text, channel) in [
            ("redis://localhost:6379", "stent"),
            ("redis://ann:s3cret@db:6380/2?channel=orders", "orders"),
            ("redis://db?protocol=resp3&channel=a.b", "a.b"),
            ("redis+unix:///run/redis.sock?channel=x&db=1", "x"),
        ] {
            assert_eq!(Address::parse(text).map(|address| address.channel).unwrap(), channel, "{text}");
        }
    }

    #[test]
    fn a_refused_address_is_not_repeated_and_its_error_says_what_to_do() {
        for text in ["s3cret", "http://ann:s3cret@db", "rediss://ann:s3cret@db", "redis://s3cret@db?channel="] {
            let error = Address::parse(text).map(|address| address.channel).unwrap_err();
            let chain = format!("{error} {} {:?}", error.hint(), std::error::Error::source(&error));
            assert!(chain.contains("redis://HOST:PORT") && !chain.contains("s3cret"), "{chain}");
        }
    }
}
