//! The stent command.
fn main() {}
