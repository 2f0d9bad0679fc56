#[durable::function(retries = 5)]
async fn charge(cents: u64) -> u64 {
    cents
}

#[durable::function(retry(attempts = 5))]
async fn ship(cents: u64) -> u64 {
    cents
}

#[durable::function(queue = "a", queue = "b")]
async fn pack(cents: u64) -> u64 {
    cents
}

fn main() {}
