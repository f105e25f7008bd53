//! Checks and code generation: `cargo xtask check`.
fn main() {}
