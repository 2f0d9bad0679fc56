#[durable::function(max_concurrent = 0)]
async fn charge(cents: u64) -> u64 {
    cents
}

#[durable::function(retry(max_attempts = 0))]
async fn ship(cents: u64) -> u64 {
    cents
}

#[durable::function(priority = "high")]
async fn pack(cents: u64) -> u64 {
    cents
}

fn main() {}
