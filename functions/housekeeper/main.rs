//! The function that a schedule invokes each minute. What it does is in `wharf::housekeeper`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::housekeeper::run().await
}
