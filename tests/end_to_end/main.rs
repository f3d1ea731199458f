//! The real binaries, deployed by the real template to the local stack, meeting real requests.
//!
//! Each test has an emulator of its own, so none sees another's events. Nothing waits for luck: a test waits for a state
//! that must come, and fails with the emulator's last words if it does not.
//!
//! In the order in which a webhook travels:

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test is a failure of the test"
)]

mod harness;
mod lambda;
mod proxy;
mod checkout;

mod start;
mod door;
mod flood;
mod secrets;
mod signed_calls;
mod bodies;
mod spool;
mod logs;
mod probe;
mod once;
mod ledger;
mod interrupted;
mod failures;
mod effects;
mod event_bus;
mod dead_letters;
mod providers;
mod conformance;
mod published_keys;
mod lambda_events;
mod cargo_lambda;
mod operate;
mod secret_command;
mod doctor;
mod deploy;
mod stack;
mod alarms;
mod status;
mod tail;
mod chaos;
mod cost;
