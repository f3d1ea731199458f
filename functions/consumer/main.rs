//! The function behind the queue. What it does is in `wharf::consumer`; what it is for is in `handler.rs`.

use std::process::ExitCode;

mod handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::consumer::run(handler::handle).await
}
