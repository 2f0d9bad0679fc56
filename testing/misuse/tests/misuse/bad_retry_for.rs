#[durable::function(retry(retry_for = is_transient))]
async fn charge(cents: u64) -> u64 {
    cents
}

fn is_transient(_: &String) -> bool {
    true
}

#[durable::function(retry(retry_for = |error| true))]
async fn ship(cents: u64) -> Result<u64, String> {
    Ok(cents)
}

fn main() {}
