#[durable::function]
async fn charge<T: Send>(what: T) -> u64 {
    1
}

#[durable::function]
async fn ship((a, b): (u64, u64)) -> impl Sized {
    a + b
}

fn main() {}
