//! What of a header's value people may see who read a log, or look at an event.

/// What a header's name has in it whose value is nobody's business: it may let in whoever knows it.
const SECRET_WORDS: [&str; 14] = [
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "hmac",
    "jwt",
    "key",
    "passphrase",
    "password",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
];

/// The value of a header, if anybody may see it; else its length.
pub fn obfuscated(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    if SECRET_WORDS.iter().any(|word| name.contains(word)) {
        return hidden(value);
    }
    value.to_owned()
}

/// The length of a value that nobody may see.
pub fn hidden(value: &str) -> String {
    format!("(hidden: {} characters)", value.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_header_that_may_be_secret_is_not_shown() {
        for name in [
            "Authorization",
            "cookie",
            "set-cookie",
            "x-gitlab-token",
            "x-webhook-secret",
            "stripe-signature",
            "X-Hub-Signature-256",
            "x-api-key",
            "x-password",
            "x-shopify-hmac-sha256",
            "x-goog-channel-token",
            "x-sig",
        ] {
            assert_eq!(obfuscated(name, "s3cr\u{e9}t"), "(hidden: 6 characters)", "{name}");
        }
    }

    #[test]
    fn the_value_of_any_other_header_is_shown_as_it_came() {
        for name in ["x-github-event", "x-github-delivery", "content-type", "webhook-id", "x-slack-request-timestamp"] {
            assert_eq!(obfuscated(name, "s3cr\u{e9}t"), "s3cr\u{e9}t", "{name}");
        }
    }
}
