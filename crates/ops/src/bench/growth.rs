//! What more and larger events cost.
