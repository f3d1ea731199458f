//! What `cargo ops` is made of. The end-to-end tests use the same local stack as its users do.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`project`] | where things are in a checkout |
//! | [`python`] | Python programs of pinned versions, in the target folder |
//! | [`template`] | the template, expanded as CloudFormation would, and linted |
//! | [`package`] | a function's zip |
//! | [`emulator`] | the emulator of AWS, as a process |
//! | [`stack`] | the local stack: the real template and the real binaries on the emulator |
//! | [`aws`] | the way to an account of AWS |
//! | [`opening`] | opening an endpoint for a secret that its sender brings along |
//! | [`samples`] | the bodies in `events/`, signed and ready to be sent |
//! | [`catalogue`] | what is known of the providers, for people |
//! | [`vectors`] | conformance cases, judged by the code that the receiver runs |
//! | [`records`] | the ledger's records |
//! | [`log_tail`] | the functions' log lines as they come |
//!
//! Nothing here is linked into a function, and functions are used as processes only.

pub mod project;
pub mod python;
pub mod template;
pub mod package;
pub mod emulator;
pub mod stack;
pub mod aws;
pub mod opening;
pub mod samples;
pub mod catalogue;
pub mod vectors;
pub mod records;
pub mod log_tail;
