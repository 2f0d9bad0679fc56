#[durable::function(idempotent(key = |order, ..| format!("charge:{order}")))]
async fn charge(order_id: String, cents: u64) -> u64 {
    order_id.len() as u64 + cents
}

#[durable::function(idempotent(key = |order_id| format!("ship:{order_id}")))]
async fn ship(order_id: String, cents: u64) -> u64 {
    order_id.len() as u64 + cents
}

#[durable::function(cached(key = "order_id"))]
async fn pack(order_id: String) -> u64 {
    order_id.len() as u64
}

fn main() {}
