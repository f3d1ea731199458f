//! The function behind the queue. What it does is in `wharf::consumer`; what it is for is in `handler.rs`.

use std::process::ExitCode;

mod handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    wharf::log::start();
    match wharf::consumer::run(handler::handle).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
