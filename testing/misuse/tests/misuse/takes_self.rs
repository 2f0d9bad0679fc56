#[durable::function]
async fn charge(&self, cents: u64) -> u64 {
    cents
}

fn main() {}
