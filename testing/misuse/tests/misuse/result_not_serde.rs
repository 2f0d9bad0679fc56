struct Receipt;

#[durable::function]
async fn charge(cents: u64) -> Receipt {
    let _ = cents;
    Receipt
}

fn main() {}
