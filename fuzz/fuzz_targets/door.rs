#![no_main]

#[path = "../door.rs"]
mod door;
#[allow(dead_code, reason = "one target of several")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| door::door(data));
