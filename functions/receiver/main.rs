//! The function behind the front door. What it does is in `wharf::receiver`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::receiver::run().await
}
