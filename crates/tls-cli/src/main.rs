//! The tls command.
fn main() {}
