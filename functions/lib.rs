//! Wharf's Lambda functions. Every webhook lands, once.
//!
//! Each binary in `functions/*/main.rs` is wiring only; what it runs is here. In the order in which a webhook travels:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`receiver`] | answers the sender: verifies the request and puts the delivery into the queue |
//! | [`consumer`] | takes deliveries from the queue and has each event processed once |
//! | [`housekeeper`] | each minute, sends what is due again |
//!
//! what they share: [`queue`], [`bodies`], [`spool`], [`ledger`]; what those are in: [`bucket`], [`parameters`], and how services are
//! called that have no client here: [`api`]; the way to addresses that are not AWS's, [`web`]; what they report: [`metrics`]; and
//! what all need to start: [`process`], [`environment`], [`aws`].
//!
//! Modules of one function do not use another's. What they must agree on is in the core, `wharf-webhook`.

pub mod receiver;
pub mod consumer;
pub mod housekeeper;
pub mod queue;
pub mod bodies;
pub mod spool;
pub mod ledger;
pub mod bucket;
pub mod parameters;
pub mod api;
pub mod web;
pub mod metrics;
pub mod process;
pub mod environment;
pub mod aws;

pub use wharf_webhook::delivery::Delivery;
