//! How many instructions verifying takes beyond the bare check, and a limit on each: `cargo bench --bench instructions`.
//!
//! Counted by callgrind, so the figures are the same on a busy machine. Valgrind knows no SHA instructions, so the bare
//! check is counted as software; what Wharf adds to it is not affected, and is what is limited.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be measured is a failure")]

mod cases;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use cases::{Case, PROVIDERS, SIZES};

/// The most instructions that verifying may take beyond the bare check, by provider, for 1, 8 and 256 KiB.
const LIMITS: [(&str, [i64; 3]); 5] = [
    ("github", [8_500, 8_500, 8_500]),
    ("stripe", [13_500, 13_500, 13_500]),
    // A form's fields are found and sorted, and its bytes looked through for escapes.
    ("twilio", [15_600, 21_000, 121_000]),
    ("standardwebhooks", [10_500, 10_500, 10_500]),
    // Ed25519 wants its message in one piece, so it is copied.
    ("discord", [12_200, 13_600, 314_000]),
];
/// How often a thing is done to count it; what is done once beside it is taken off.
const TIMES: u64 = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [what, provider, bytes, times] => {
            do_it(what, &Case::new(provider, bytes.parse().unwrap()), times.parse().unwrap());
            ExitCode::SUCCESS
        }
        _ => gate(),
    }
}

fn do_it(what: &str, case: &Case, times: u64) {
    for _ in 0..times {
        let done = match what {
            "bare" => black_box(case).bare(),
            "verify" => black_box(case).verify(),
            _ => black_box(case).judge(),
        };
        assert!(done);
    }
}

fn gate() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("error: valgrind is not installed, and it counts the instructions: apt-get install valgrind");
        return ExitCode::FAILURE;
    }
    println!(
        "{:<18} {:>8} {:>12} {:>12} {:>10} {:>10} {:>12}",
        "provider", "bytes", "bare", "verify", "beyond", "limit", "judge"
    );
    let mut exceeded = 0;
    for provider in PROVIDERS {
        let limits = LIMITS.iter().find(|(name, _)| *name == provider).unwrap().1;
        for (bytes, limit) in SIZES.into_iter().zip(limits) {
            let [bare, verify, judge] = ["bare", "verify", "judge"].map(|what| instructions(what, provider, bytes));
            let beyond = verify - bare;
            let verdict = if beyond > limit { " TOO MANY" } else { "" };
            exceeded += i32::from(beyond > limit);
            println!("{provider:<18} {bytes:>8} {bare:>12} {verify:>12} {beyond:>10} {limit:>10} {judge:>12}{verdict}");
        }
    }
    if exceeded > 0 {
        eprintln!(
            "error: {exceeded} limits are exceeded; if that is wanted, change them in benches/verification/instructions.rs, and say why"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What doing a thing once takes.
fn instructions(what: &str, provider: &str, bytes: usize) -> i64 {
    let all = count(what, provider, bytes, TIMES + 1) - count(what, provider, bytes, 1);
    all / i64::try_from(TIMES).unwrap()
}

fn count(what: &str, provider: &str, bytes: usize, times: u64) -> i64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([what, provider, &bytes.to_string(), &times.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // ==123== Collected : 1234567
    said.lines().find_map(|line| line.split_once("Collected :")).unwrap().1.trim().parse().unwrap()
}
