#[durable::function]
async fn charge(order: String, cents: u64) -> u64 {
    order.len() as u64 + cents
}

async fn dispatches(client: durable::Durable) {
    let _ = client.dispatch(charge, "a".to_owned()).await;
}

fn main() {}
