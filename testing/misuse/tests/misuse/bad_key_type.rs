#[durable::function(idempotent(key = |cents| *cents))]
async fn charge(cents: u64) -> u64 {
    cents
}

fn main() {}
