#[durable::function(timeout = "2 minutes")]
async fn charge(cents: u64) -> u64 {
    cents
}

#[durable::function(retry(initial_delay = "soon"))]
async fn ship(cents: u64) -> u64 {
    cents
}

fn main() {}
