#[durable::function]
async fn charge(order: &str) -> u64 {
    order.len() as u64
}

#[durable::function]
async fn ship(order: std::borrow::Cow<'_, str>, names: Vec<&u8>) -> &'static str {
    "1Z999"
}

fn main() {}
