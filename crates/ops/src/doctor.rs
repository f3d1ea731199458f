//! What is misconfigured in a deployment, and the command that mends it.
