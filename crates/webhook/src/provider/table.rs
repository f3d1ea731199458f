//! The providers, in the order of use.

use std::borrow::Cow::Borrowed;

use super::{Algorithm, Encoding, IdRating, Part, Provider, Scheme, SecretForm, Source};

/// Every provider that has a row of its own; `generic` takes its row from `endpoints.toml`.
static PROVIDERS: [Provider; 1] = [
    // The headers that name the event and the delivery are not signed: whoever captured a signed body can give it a new
    // id. GitHub never retries by itself; a redelivery that was asked for keeps id and body.
    Provider {
        name: Borrowed("github"),
        title: Borrowed("GitHub"),
        documentation: Borrowed("https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries"),
        signature: Scheme {
            header: Borrowed("x-hub-signature-256"),
            separator: None,
            prefix: Borrowed("sha256="),
            encoding: Encoding::Hex,
            algorithm: Algorithm::HmacSha256,
            secret: SecretForm::Utf8,
            content: Borrowed(&[Part::Body]),
            timestamp: None,
        },
        event_id: Borrowed(&[Source::Header(Borrowed("x-github-delivery"))]),
        event_id_rating: IdRating::Hint,
        event_type: Borrowed(&[Source::Header(Borrowed("x-github-event"))]),
        headers: Borrowed(&[
            Borrowed("x-github-event"),
            Borrowed("x-github-delivery"),
            Borrowed("x-github-hook-id"),
            Borrowed("x-github-hook-installation-target-id"),
            Borrowed("x-github-hook-installation-target-type"),
        ]),
        status_accepted: 200,
        status_refused: 400,
        patience_seconds: 10,
    },
];

/// The provider with this name in `endpoints.toml`.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// The names that `provider` may have in `endpoints.toml`, `generic` last.
pub fn named() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| &*provider.name).chain(["generic"])
}
