#[durable::function]
fn charge(cents: u64) -> u64 {
    cents
}

fn main() {}
