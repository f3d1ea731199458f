//! How long verifying takes, against the bare code or signature over the same content: `cargo bench --bench verify`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be made up is a failure")]

mod cases;

use cases::{Case, PROVIDERS, SIZES};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Provider and size of the body.
fn all() -> Vec<(&'static str, usize)> {
    PROVIDERS.iter().flat_map(|provider| SIZES.map(|bytes| (*provider, bytes))).collect()
}

struct Named((&'static str, usize));

impl std::fmt::Display for Named {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} KiB", self.0.0, self.0.1 / 1024)
    }
}

#[divan::bench(args = all().into_iter().map(Named))]
fn bare(bencher: Bencher<'_, '_>, Named((provider, bytes)): &Named) {
    let case = Case::new(provider, *bytes);
    bencher.bench_local(|| assert!(black_box(&case).bare()));
}

#[divan::bench(args = all().into_iter().map(Named))]
fn verify(bencher: Bencher<'_, '_>, Named((provider, bytes)): &Named) {
    let case = Case::new(provider, *bytes);
    bencher.bench_local(|| assert!(black_box(&case).verify()));
}

#[divan::bench(args = all().into_iter().map(Named))]
fn judge(bencher: Bencher<'_, '_>, Named((provider, bytes)): &Named) {
    let case = Case::new(provider, *bytes);
    bencher.bench_local(|| assert!(black_box(&case).judge()));
}
