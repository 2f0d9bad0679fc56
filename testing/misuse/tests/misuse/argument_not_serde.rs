struct Order {
    cents: u64,
}

#[durable::function]
async fn charge(order: Order) -> u64 {
    order.cents
}

fn main() {}
