//! What arguments and results may be: whatever serde carries comes to the function and back as it was, through the store's
//! bytes; and a type that writes itself in its own way is read in that way.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{executor, run};

/// One of everything that has a name in seed 000: text, numbers, booleans, nothing, lists, dictionaries, tuples; and types
/// of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    whole: (i64, u64, i8),
    broken: Vec<f64>,
    yes: bool,
    nothing: Option<u8>,
    something: Option<Box<Everything>>,
    named: BTreeMap<String, Vec<Kind>>,
    unit: (),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Bare,
    Tuple(i32, String),
    Fields { a: bool },
}

/// Writes itself as people write money.
#[derive(Clone, Debug, PartialEq)]
struct Cents(u64);

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}.{:02} EUR", self.0 / 100, self.0 % 100))
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.strip_suffix(" EUR").map(|digits| digits.replace('.', ""));
        let cents = digits.and_then(|digits| digits.parse().ok());
        cents.map(Self).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no sum of money")))
    }
}

#[durable::function]
async fn given_back(everything: Everything) -> Everything {
    everything
}

#[durable::function]
async fn through_a_child(everything: Everything) -> Everything {
    given_back(everything).await
}

#[durable::function]
async fn doubled(sum: Cents) -> Cents {
    Cents(sum.0 * 2)
}

fn everything() -> Everything {
    let kinds = vec![Kind::Bare, Kind::Tuple(-1, "ü\"\\\u{202e}\0\n".into()), Kind::Fields { a: true }];
    let small = Everything {
        text: String::new(),
        whole: (0, 0, 0),
        broken: vec![],
        yes: false,
        nothing: None,
        something: None,
        named: BTreeMap::new(),
        unit: (),
    };
    Everything {
        text: "名前 and \u{10ffff}".into(),
        whole: (i64::MIN, u64::MAX, -7),
        broken: vec![0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 1e-7],
        yes: true,
        something: Some(Box::new(small.clone())),
        named: BTreeMap::from([(String::new(), kinds), ("b c".into(), vec![])]),
        ..small
    }
}

#[tokio::test]
async fn whatever_serde_carries_comes_back_as_it_was() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, given_back, everything()).await.unwrap(), everything());
    assert_eq!(run(&executor, through_a_child, everything()).await.unwrap(), everything());
}

#[tokio::test]
async fn a_type_is_written_and_read_as_it_says_itself() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(doubled, Cents(1_205)).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap(), Cents(2_410));
    let stored = executor.get_task_result(execution.id()).await.unwrap().unwrap();
    assert_eq!(stored.output::<String>().unwrap(), "24.10 EUR");
}
