//! The pure core of Wharf: everything that can be decided about a webhook from bytes, secrets and the time.
//!
//! It reads no clock, no environment and no network, and nothing in it is async: what it needs is an argument. So the
//! receiver, the consumer, `cargo ops` and the tests all decide by exactly this code.
//!
//! In the order in which a webhook meets them:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`endpoints`] | `endpoints.toml`: what this deployment accepts |
//! | [`provider`] | how each sender signs, shakes hands and behaves, as data |
//! | [`terms`] | what one endpoint's requests are judged by |
//! | [`secret`] | what an endpoint and its sender share |
//! | [`request`] | what a sender put on the wire |
//! | [`judgement`] | is it a question, is it signed, and which event does it bring |
//! | [`handshake`] | the questions, and their answers |
//! | [`signature`] | verifying a request, and signing one |
//! | [`partition`] | which regions and hosts of AWS belong together |
//! | [`refusal`] | why a request is turned away |
//! | [`idempotency`] | what makes two deliveries the same event |
//! | [`delivery`] | one verified arrival of an event |
//! | [`message`] | the queue message that carries a delivery from the receiver to the consumer |
//! | [`probe`] | an event of Wharf's own |
//! | [`policy`] | what an endpoint's owner decided about processing |
//! | [`ledger`] | what a record means at an instant, and what becomes of it |
//! | [`obfuscation`] | what of a header's value people may see |
//! | [`metrics`] | what functions report in numbers |
//! | [`limits`] | every size and duration, and the relations between them |
//! | [`clock`] | instants with their unit in the type |

pub mod endpoints;
pub mod provider;
pub mod terms;
pub mod secret;
pub mod request;
mod json;
mod compression;
pub mod judgement;
pub mod handshake;
pub mod signature;
mod crypto;
pub mod partition;
pub mod refusal;
pub mod idempotency;
pub mod delivery;
pub mod message;
pub mod probe;
pub mod policy;
pub mod ledger;
pub mod obfuscation;
pub mod metrics;
pub mod limits;
pub mod clock;
