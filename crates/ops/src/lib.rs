//! What `cargo ops` is made of. The end-to-end tests use the same local stack as its users do.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`project`] | where things are in a checkout |
//! | [`private_file`] | files that only this user may read |
//! | [`terminal`] | text that others wrote, made safe for a terminal |
//! | [`python`] | Python programs of pinned versions, in the target folder |
//! | [`node`] | Node's packages of pinned versions, in the target folder |
//! | [`template`] | the template, expanded as CloudFormation would |
//! | [`lint`] | the template, judged by linters |
//! | [`samconfig`] | the stages' parameters |
//! | [`endpoint_alarms`] | the alarms that endpoints have of their own |
//! | [`supply_chain`] | what the crates of the project may be |
//! | [`step`] | a program that is run for an operator, its command shown first |
//! | [`package`] | a function's zip |
//! | [`cargo_lambda`] | cargo-lambda, which makes them |
//! | [`emulator`] | the emulator of AWS, as a process |
//! | [`stack`] | the local stack: the real template and the real binaries on the emulator |
//! | [`aws`] | the way to an account of AWS |
//! | [`deployment`] | how to reach a deployment: the local stack, or a stage on AWS |
//! | [`measured`] | what CloudWatch has counted and measured |
//! | [`secret_store`] | where an endpoint's secrets are kept |
//! | [`secret_use`] | whether a secret is still used |
//! | [`secrets`] | listing and changing secrets |
//! | [`opening`] | opening an endpoint for a secret that its sender brings along |
//! | [`samples`] | the bodies in `events/`, signed and ready to be sent |
//! | [`catalogue`] | what is known of the providers, for people |
//! | [`vectors`] | conformance cases, judged by the code that the receiver runs |
//! | [`interop`] | Wharf and the senders' own libraries, crossed |
//! | [`records`] | the ledger's records |
//! | [`history`] | what happened to an event |
//! | [`contents`] | what its sender said: headers and body |
//! | [`since`] | a point in the past, as a person names it |
//! | [`failed`] | the failed and parked events |
//! | [`replay`] | having an event processed again |
//! | [`forget`] | erasing an event |
//! | [`consumption`] | stopping the consumer, and starting it again |
//! | [`redrive`] | from the dead-letter queue back to the queue |
//! | [`status`] | whether all is well |
//! | [`log_tail`] | the functions' log lines as they come |
//! | [`embedded_metrics`] | the metrics that log lines name, made on the local stack |
//! | [`stack_state`] | the state of a stage's stack, and whether a deployment can begin in it |
//! | [`deploy`] | deploying a stage |
//! | [`probe`] | a probe on demand |
//! | [`doctor`] | what is misconfigured, and the command that mends it |
//! | [`bench`] | what the functions take: time, processor, memory, instructions, sizes |
//!
//! Nothing here is linked into a function, and functions are used as processes only.

pub mod project;
pub mod private_file;
pub mod terminal;
pub mod python;
pub mod node;
pub mod template;
pub mod lint;
pub mod samconfig;
pub mod endpoint_alarms;
pub mod supply_chain;
pub mod step;
pub mod package;
pub mod cargo_lambda;
pub mod emulator;
pub mod stack;
pub mod aws;
pub mod deployment;
pub mod measured;
pub mod secret_store;
pub mod secret_use;
pub mod secrets;
pub mod opening;
pub mod samples;
pub mod catalogue;
pub mod vectors;
pub mod interop;
pub mod records;
pub mod history;
pub mod contents;
pub mod since;
pub mod failed;
pub mod replay;
pub mod forget;
pub mod consumption;
pub mod redrive;
pub mod status;
pub mod log_tail;
pub mod embedded_metrics;
pub mod stack_state;
pub mod deploy;
pub mod probe;
pub mod doctor;
pub mod bench;
