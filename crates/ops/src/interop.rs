//! Wharf and the senders' own libraries, crossed: what `cargo ops send` signs is judged by the library that the sender gives to
//! its receivers; what a library signs is judged by Wharf.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`crossing`] | which library of which provider, and what is known of it |
//! | [`variant`] | the requests that are tried |
//! | [`library`] | a library's word, asked of a process |
//! | [`stand_in`] | a sender with a private key of this run |
//! | [`measured`] | what came of a crossing |
//! | [`report`] | that, as a table |
//!
//! The libraries are those of npm and PyPI in `crates/ops/interop`, at pinned versions; nothing is sent over a network.

pub mod crossing;
pub mod variant;
pub mod library;
pub mod stand_in;
pub mod measured;
pub mod report;
