//! The providers, in the order of use: one place each, all that is known of them.
//!
//! What a row does not say is as in [`PROVIDER`] and [`SCHEME`]. Tolerances are those that the sender's documentation or
//! libraries name; where they name none the age is not judged, because a late repetition may carry its first timestamp, and
//! the ledger recognises a replay anyway. Waiting times and retries are as published or, where they are not, as reported in
//! 2026; `None` and [`RETRIES_UNKNOWN`] where neither is.

use super::Algorithm::{EcdsaP256Sha256, Ed25519, HmacSha1, RsaSha256, Token};
use super::Condition::{Absent, Is, Present};
use super::Encoding::{Base64, Hex, Raw};
use super::Part::{self, Body, Literal, Method, Url};
use super::{
    Algorithm, Answer, BodyForm, Check, Content, DigestOf, Handshake, IdRating, Place, Provider, RETRIES_UNKNOWN,
    Retried, Retries, Scheme, SecretForm, Setting, Signed, Source, Text, Timestamp, TimestampPlace, TimestampUnit,
    WithoutId,
};

/// A provider before anything is known of it.
pub(super) const PROVIDER: Provider = Provider {
    name: "",
    title: "",
    documentation: "",
    schemes: &[],
    required: &[],
    handshakes: &[],
    unsigned_ping: &[],
    headers: &[],
    status_accepted: 200,
    status_refused: 400,
    patience_seconds: None,
    retries: RETRIES_UNKNOWN,
    remarks: &[],
};

/// HMAC-SHA256 of the body in hexadecimal, with the secret's text as the key: the commonest scheme.
pub(super) const SCHEME: Scheme = Scheme {
    name: "",
    signature: Place::Header(""),
    separator: None,
    prefix: "",
    encoding: Hex,
    algorithm: Algorithm::HmacSha256,
    with_public_key: None,
    secret: SecretForm::Utf8,
    content: Content::Parts(&[Body]),
    body: BodyForm::Json,
    decompress: false,
    other_headers: None,
    timestamp: None,
    methods: &["POST"],
    require: &[],
    event_id: &[],
    event_id_rating: IdRating::None,
    rating_reason: "it sends no id",
    without_id: WithoutId::Digest,
    digest: DigestOf::Signed,
    varies: &[],
    beside: &[],
    event_type: &[],
    event_subtype: &[],
    types: &[],
};

/// A plain token, which covers nothing.
const TOKEN: Scheme = Scheme { encoding: Raw, algorithm: Token, content: Content::Parts(&[]), ..SCHEME };

/// Standard Webhooks (standardwebhooks.com), with its headers' own names.
const STANDARD_WEBHOOKS: Scheme = Scheme {
    signature: Place::Header("webhook-signature"),
    separator: Some(" "),
    prefix: "v1,",
    encoding: Base64,
    with_public_key: Some(("v1a,", Ed25519)),
    secret: SecretForm::StandardWebhooks,
    content: Content::Parts(&[Part::Header("webhook-id"), Literal("."), Part::Timestamp, Literal("."), Body]),
    timestamp: Some(seconds_in_header("webhook-timestamp", Some(300))),
    event_id: &[Source::Header("webhook-id")],
    event_id_rating: IdRating::Event,
    rating_reason: "webhook-id is signed, and stays the same when it tries again",
    event_type: &[Source::Json("/type")],
    ..SCHEME
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const fn header(name: Text) -> Source {
    Source::Header(name)
}

const fn json(pointer: Text) -> Source {
    Source::Json(pointer)
}

const fn form(field: Text) -> Source {
    Source::Form(field)
}

const fn query(name: Text) -> Source {
    Source::Query(name)
}

/// How far in the future a timestamp may lie: as far as in the past, which senders and their libraries say of minutes. Where the
/// past is as long as a sender's retries, that would say nothing: so far may clocks be apart.
const fn ahead(tolerance_seconds: Option<i64>) -> Option<i64> {
    match tolerance_seconds {
        Some(seconds) if seconds > 10 * MINUTE => Some(5 * MINUTE),
        Some(_) | None => None,
    }
}

const fn seconds_in_header(name: Text, tolerance_seconds: Option<i64>) -> Timestamp {
    Timestamp {
        at: TimestampPlace::Header(name),
        unit: TimestampUnit::Seconds,
        tolerance_seconds,
        future_tolerance_seconds: ahead(tolerance_seconds),
    }
}

const fn seconds_in_item(prefix: Text, tolerance_seconds: Option<i64>) -> Timestamp {
    Timestamp { at: TimestampPlace::Item(prefix), ..seconds_in_header("", tolerance_seconds) }
}

const fn rfc3339_in_header(name: Text, tolerance_seconds: Option<i64>) -> Timestamp {
    Timestamp { unit: TimestampUnit::Rfc3339, ..seconds_in_header(name, tolerance_seconds) }
}

const fn millis_in_body(pointer: Text, tolerance_seconds: Option<i64>) -> Timestamp {
    Timestamp {
        at: TimestampPlace::Json(pointer),
        unit: TimestampUnit::Milliseconds,
        ..seconds_in_header("", tolerance_seconds)
    }
}

const fn retries(after: Retried, horizon_seconds: i64, schedule: Text) -> Retries {
    Retries { after, signed: Signed::Unknown, horizon_seconds: Some(horizon_seconds), schedule }
}

impl Retries {
    const fn signed(self, signed: Signed) -> Retries {
        Retries { signed, ..self }
    }
}

/// A question that is answered with 200, whoever asks.
const QUESTION: Handshake =
    Handshake { method: "GET", when: &[], signed: false, check: Check::None, status: 200, headers: &[], body: &[] };
const TEXT: (Text, Answer) = ("content-type", Answer::Literal("text/plain"));
const JSON: (Text, Answer) = ("content-type", Answer::Literal("application/json"));
/// With text that the asker chose: no browser may take it for a page.
const NO_SNIFFING: (Text, Answer) = ("x-content-type-options", Answer::Literal("nosniff"));

/// Every provider that has a row of its own; `generic` takes its row from `endpoints.toml`.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        name: "github",
        title: "GitHub",
        documentation: "https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries",
        schemes: &[Scheme {
            signature: Place::Header("x-hub-signature-256"),
            prefix: "sha256=",
            event_id: &[header("x-github-delivery")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed: whoever captured a body can give it a new id",
            event_type: &[header("x-github-event")],
            event_subtype: &[json("/action"), Source::FormJson("payload", "/action")],
            body: BodyForm::JsonOrForm,
            ..SCHEME
        }],
        headers: &[
            "x-github-hook-id",
            "x-github-hook-installation-target-id",
            "x-github-hook-installation-target-type",
        ],
        patience_seconds: Some(10),
        retries: retries(
            Retried::Never,
            7 * DAY,
            "none; a redelivery can be asked for, for 3 days (Enterprise Server 7), under the same id",
        )
        .signed(Signed::Once),
        ..PROVIDER
    },
    Provider {
        name: "stripe",
        title: "Stripe",
        documentation: "https://docs.stripe.com/webhooks",
        schemes: &[Scheme {
            signature: Place::Header("stripe-signature"),
            separator: Some(","),
            prefix: "v1=",
            content: Content::Parts(&[Part::Timestamp, Literal("."), Body]),
            timestamp: Some(seconds_in_item("t=", Some(300))),
            event_id: &[json("/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is the event's; the body changes between sends (pending_webhooks)",
            event_type: &[json("/type")],
            ..SCHEME
        }],
        retries: retries(Retried::NotSuccess, 3 * DAY, "for 3 days, exponential, signed afresh each time")
            .signed(Signed::Afresh),
        ..PROVIDER
    },
    Provider {
        name: "slack",
        title: "Slack",
        documentation: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
        schemes: &[Scheme {
            signature: Place::Header("x-slack-signature"),
            prefix: "v0=",
            content: Content::Parts(&[Literal("v0:"), Part::Timestamp, Literal(":"), Body]),
            timestamp: Some(seconds_in_header("x-slack-request-timestamp", Some(DAY + 10 * MINUTE))),
            event_id: &[json("/event_id")],
            event_id_rating: IdRating::Event,
            rating_reason: "event_id is signed and stays the same when it tries again; commands and actions have none",
            event_type: &[json("/event/type"), json("/type"), Source::FormJson("payload", "/type"), form("command")],
            body: BodyForm::JsonOrForm,
            ..SCHEME
        }],
        handshakes: &[Handshake {
            method: "POST",
            when: &[Is(json("/type"), "url_verification")],
            signed: true,
            headers: &[TEXT, NO_SNIFFING],
            body: &[Answer::Echo(json("/challenge"))],
            ..QUESTION
        }],
        // A look at the certificate, without a payload.
        unsigned_ping: &[Is(form("ssl_check"), "1"), Absent(form("payload")), Absent(form("command"))],
        headers: &["x-slack-retry-num", "x-slack-retry-reason"],
        patience_seconds: Some(3),
        retries: retries(
            Retried::NotSuccess,
            DAY + 10 * MINUTE,
            "3 times: at once, after 1 min, after 5 min; with Delayed Events hourly for 24 h more",
        ),
        remarks: &["Commands and interactions have no id: what is signed tells them apart."],
        ..PROVIDER
    },
    Provider {
        name: "shopify",
        title: "Shopify",
        documentation: "https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
        schemes: &[Scheme {
            signature: Place::Header("x-shopify-hmac-sha256"),
            encoding: Base64,
            event_id: &[header("x-shopify-webhook-id")],
            body: BodyForm::Any,
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            other_headers: Some(("x-shopify-", "shopify-")),
            event_type: &[header("x-shopify-topic")],
            event_subtype: &[header("x-shopify-action")],
            ..SCHEME
        }],
        headers: &[
            "x-shopify-shop-domain",
            "x-shopify-api-version",
            "x-shopify-triggered-at",
            "x-shopify-event-id",
            "shopify-shop-domain",
            "shopify-api-version",
            "shopify-triggered-at",
            "shopify-handle",
            "shopify-action",
        ],
        // Its reviewers ask for that.
        status_refused: 401,
        patience_seconds: Some(5),
        retries: retries(Retried::NotSuccess, 4 * HOUR, "8 times in 4 h, then it deletes the subscription")
            .signed(Signed::Once),
        ..PROVIDER
    },
    Provider {
        name: "standardwebhooks",
        title: "Standard Webhooks",
        documentation: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        schemes: &[STANDARD_WEBHOOKS],
        patience_seconds: Some(15),
        retries: Retries {
            after: Retried::NotSuccess,
            signed: Signed::Afresh,
            schedule: "the sender's own",
            ..RETRIES_UNKNOWN
        },
        remarks: &["A body that is no JSON object or list is refused: for a sender with others see docs/providers.md."],
        ..PROVIDER
    },
    Provider {
        name: "svix",
        title: "Svix",
        documentation: "https://docs.svix.com/receiving/verifying-payloads/how-manual",
        schemes: &[Scheme {
            signature: Place::Header("svix-signature"),
            content: Content::Parts(&[Part::Header("svix-id"), Literal("."), Part::Timestamp, Literal("."), Body]),
            timestamp: Some(seconds_in_header("svix-timestamp", Some(300))),
            event_id: &[header("svix-id")],
            other_headers: Some(("svix-", "webhook-")),
            methods: &["POST", "PUT"],
            rating_reason: "svix-id is signed, and stays the same when it tries again",
            event_type: &[json("/type"), json("/event_type")],
            ..STANDARD_WEBHOOKS
        }],
        patience_seconds: Some(15),
        retries: retries(
            Retried::NotSuccess,
            34 * HOUR,
            "7 times: after 5 s, 5 min, 30 min, 2, 5, 10 and 10 h, each a fifth more or less",
        )
        .signed(Signed::Afresh),
        remarks: &["A body that is no JSON object or list is refused: for a sender with others see docs/providers.md."],
        ..PROVIDER
    },
    Provider {
        name: "gitlab",
        title: "GitLab",
        documentation: "https://docs.gitlab.com/user/project/integrations/webhooks",
        schemes: &[
            Scheme {
                name: "token",
                signature: Place::Header("x-gitlab-token"),
                event_id: &[header("idempotency-key"), header("x-gitlab-event-uuid")],
                event_id_rating: IdRating::Hint,
                rating_reason: "a token signs nothing",
                event_type: &[header("x-gitlab-event")],
                event_subtype: &[json("/object_kind"), json("/event_name")],
                ..TOKEN
            },
            Scheme {
                name: "signing",
                timestamp: Some(seconds_in_header("webhook-timestamp", Some(2 * DAY + HOUR))),
                event_type: &[header("x-gitlab-event")],
                event_subtype: &[json("/object_kind"), json("/event_name")],
                ..STANDARD_WEBHOOKS
            },
        ],
        headers: &["x-gitlab-instance", "x-gitlab-webhook-uuid", "x-gitlab-event-uuid"],
        patience_seconds: Some(10),
        retries: Retries {
            signed: Signed::Unknown,
            after: Retried::Never,
            horizon_seconds: Some(2 * DAY),
            schedule: "none; it can be sent again for 2 days; 4 failures block it for 1 min to 24 h, 40 disable it",
        },
        ..PROVIDER
    },
    Provider {
        name: "meta",
        title: "Meta (Facebook, Instagram, WhatsApp)",
        documentation: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
        schemes: &[Scheme {
            signature: Place::Header("x-hub-signature-256"),
            prefix: "sha256=",
            event_id: &[json("/entry/*/changes/*/value/messages/*/id"), json("/entry/*/messaging/*/message/mid")],
            event_id_rating: IdRating::Hint,
            rating_reason: "it is the first of a list, which may be put together anew",
            event_type: &[json("/object")],
            event_subtype: &[
                json("/entry/*/changes/*/field"),
                Source::MembersBeside { of: "/entry/*/messaging/*", names: META_MESSAGING },
                Source::MembersBeside { of: "/entry/*/standby/*", names: META_MESSAGING },
            ],
            ..SCHEME
        }],
        required: &[Setting::VerifyToken],
        handshakes: &[Handshake {
            when: &[Is(query("hub.mode"), "subscribe"), Present(query("hub.challenge"))],
            check: Check::VerifyToken(query("hub.verify_token")),
            headers: &[TEXT, NO_SNIFFING],
            body: &[Answer::Echo(query("hub.challenge"))],
            ..QUESTION
        }],
        retries: retries(Retried::NotOk, 7 * DAY, "ever more rarely for 36 h; WhatsApp for 7 days"),
        ..PROVIDER
    },
    Provider {
        name: "zoom",
        title: "Zoom",
        documentation: "https://developers.zoom.us/docs/api/webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("x-zm-signature"),
            prefix: "v0=",
            content: Content::Parts(&[Literal("v0:"), Part::Timestamp, Literal(":"), Body]),
            timestamp: Some(seconds_in_header("x-zm-request-timestamp", None)),
            event_type: &[json("/event")],
            ..SCHEME
        }],
        // Repeated every 72 hours. The answer is an HMAC under the secret that signs bodies, so it is asked for signed.
        handshakes: &[Handshake {
            method: "POST",
            when: &[Is(json("/event"), "endpoint.url_validation")],
            signed: true,
            check: Check::PlainToken(json("/payload/plainToken")),
            headers: &[JSON],
            body: &[
                Answer::Literal(r#"{"plainToken":"#),
                Answer::EchoJson(json("/payload/plainToken")),
                Answer::Literal(r#","encryptedToken":""#),
                Answer::Hmac(Hex, json("/payload/plainToken")),
                Answer::Literal(r#""}"#),
            ],
            ..QUESTION
        }],
        patience_seconds: Some(3),
        retries: retries(Retried::AllBut(&[200, 204]), 85 * MINUTE, "after 5, 20 and 60 min"),
        ..PROVIDER
    },
    Provider {
        name: "discord",
        title: "Discord",
        documentation: "https://docs.discord.com/developers/interactions/overview",
        schemes: &[Scheme {
            signature: Place::Header("x-signature-ed25519"),
            algorithm: Ed25519,
            secret: SecretForm::Hex,
            content: Content::Parts(&[Part::Timestamp, Body]),
            timestamp: Some(seconds_in_header("x-signature-timestamp", None)),
            event_id: &[json("/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is the interaction's; other events have none",
            event_type: &[json("/event/type"), json("/type")],
            ..SCHEME
        }],
        handshakes: &[
            // An interaction of type 1 is a PING; an event of type 1 has a member `event`, and is one.
            Handshake {
                method: "POST",
                when: &[Is(json("/type"), "1"), Absent(json("/event/type"))],
                signed: true,
                headers: &[JSON],
                body: &[Answer::Literal(r#"{"type":1}"#)],
                ..QUESTION
            },
            Handshake {
                method: "POST",
                when: &[Is(json("/type"), "0")],
                signed: true,
                status: 204,
                headers: &[JSON],
                ..QUESTION
            },
        ],
        status_accepted: 204,
        status_refused: 401,
        patience_seconds: Some(3),
        retries: retries(Retried::NotSuccess, 10 * 60, "several times in 10 min; it probes with bad signatures"),
        remarks: &["Interactions are answered 204 as events are; Discord names 200 and 202 for them."],
        ..PROVIDER
    },
    Provider {
        name: "square",
        title: "Square",
        documentation: "https://developer.squareup.com/docs/webhooks/step3validate",
        schemes: &[Scheme {
            signature: Place::Header("x-square-hmacsha256-signature"),
            encoding: Base64,
            content: Content::Parts(&[Url, Body]),
            event_id: &[json("/event_id")],
            event_id_rating: IdRating::Event,
            rating_reason: "event_id is signed, and the event's",
            event_type: &[json("/type")],
            ..SCHEME
        }],
        headers: &[
            "square-retry-number",
            "square-retry-reason",
            "square-initial-delivery-timestamp",
            "square-environment",
        ],
        patience_seconds: Some(10),
        retries: retries(Retried::NotSuccess, DAY, "11 times in 24 h").signed(Signed::Once),
        ..PROVIDER
    },
    Provider {
        name: "linear",
        title: "Linear",
        documentation: "https://linear.app/developers/webhooks",
        schemes: &[Scheme {
            signature: Place::Header("linear-signature"),
            timestamp: Some(millis_in_body("/webhookTimestamp", Some(8 * HOUR))),
            event_id: &[header("linear-delivery")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            varies: &[json("/webhookTimestamp")],
            event_type: &[header("linear-event"), json("/type")],
            event_subtype: &[json("/action")],
            ..SCHEME
        }],
        patience_seconds: Some(5),
        retries: retries(Retried::NotOk, 7 * HOUR + 60, "after 1 min, 1 h and 6 h"),
        ..PROVIDER
    },
    Provider {
        name: "paddle",
        title: "Paddle",
        documentation: "https://developer.paddle.com/webhooks/signature-verification",
        schemes: &[Scheme {
            signature: Place::Header("paddle-signature"),
            separator: Some(";"),
            prefix: "h1=",
            content: Content::Parts(&[Part::Timestamp, Literal(":"), Body]),
            timestamp: Some(seconds_in_item("ts=", Some(3 * DAY + HOUR))),
            event_id: &[json("/event_id")],
            event_id_rating: IdRating::Event,
            rating_reason: "event_id is signed, and the event's",
            event_type: &[json("/event_type")],
            ..SCHEME
        }],
        patience_seconds: Some(5),
        retries: retries(Retried::NotOk, 3 * DAY, "60 times in 3 days"),
        ..PROVIDER
    },
    Provider {
        name: "sendgrid",
        title: "SendGrid",
        documentation: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
        schemes: &[Scheme {
            signature: Place::Header("x-twilio-email-event-webhook-signature"),
            encoding: Base64,
            algorithm: EcdsaP256Sha256,
            secret: SecretForm::Base64,
            content: Content::Parts(&[Part::Timestamp, Body]),
            timestamp: Some(seconds_in_header("x-twilio-email-event-webhook-timestamp", None)),
            event_id: &[json("/*/sg_event_id")],
            event_id_rating: IdRating::Events,
            rating_reason: "the ids of its list are signed, and each event's own",
            event_type: &[json("/*/event")],
            ..SCHEME
        }],
        retries: retries(Retried::NotSuccess, DAY, "for 24 h"),
        ..PROVIDER
    },
    Provider {
        name: "hubspot",
        title: "HubSpot",
        documentation: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation",
        schemes: &[
            Scheme {
                name: "v3",
                signature: Place::Header("x-hubspot-signature-v3"),
                algorithm: Algorithm::HmacSha256,
                encoding: Base64,
                content: Content::Parts(&[Method, Part::UrlHubspot, Body, Part::Timestamp]),
                timestamp: Some(Timestamp {
                    unit: TimestampUnit::Milliseconds,
                    future_tolerance_seconds: Some(300),
                    ..seconds_in_header("x-hubspot-request-timestamp", Some(3 * DAY))
                }),
                methods: &["POST", "GET"],
                without_id: WithoutId::Stamp,
                ..HUBSPOT
            },
            Scheme {
                name: "v2",
                content: Content::Parts(&[Part::Secret, Method, Url, Body]),
                methods: &["POST", "GET"],
                without_id: WithoutId::Arrival,
                ..HUBSPOT
            },
            Scheme { name: "v1", content: Content::Parts(&[Part::Secret, Body]), ..HUBSPOT },
        ],
        patience_seconds: Some(5),
        retries: retries(Retried::NotSuccess, 3 * DAY, "10 times in 24 h; workflows for 3 days, and not after a 4xx"),
        remarks: &["A workflow is not repeated after a 4xx: what a wrong secret refuses is lost."],
        ..PROVIDER
    },
    Provider {
        name: "dropbox",
        title: "Dropbox",
        documentation: "https://www.dropbox.com/developers/reference/webhooks",
        schemes: &[Scheme {
            signature: Place::Header("x-dropbox-signature"),
            event_id_rating: IdRating::Repeats,
            rating_reason: "it says which accounts changed, not what: equal bodies are different events",
            ..SCHEME
        }],
        handshakes: &[Handshake {
            when: &[Present(query("challenge"))],
            headers: &[TEXT, NO_SNIFFING],
            body: &[Answer::Echo(query("challenge"))],
            ..QUESTION
        }],
        patience_seconds: Some(10),
        retries: retries(Retried::NotOk, 10 * MINUTE, "for about 10 min"),
        ..PROVIDER
    },
    Provider {
        name: "okta",
        title: "Okta",
        documentation: "https://developer.okta.com/docs/concepts/event-hooks/",
        schemes: &[Scheme {
            signature: Place::Header("authorization"),
            event_id: &[json("/data/events/*/uuid"), json("/eventId")],
            event_id_rating: IdRating::Hint,
            varies: &[json("/eventId"), json("/eventTime")],
            rating_reason: "a token signs nothing, and it is the first of a list",
            event_type: &[json("/data/events/*/eventType"), json("/eventType")],
            ..TOKEN
        }],
        handshakes: &[Handshake {
            when: &[Present(header("x-okta-verification-challenge"))],
            headers: &[JSON],
            body: &[
                Answer::Literal(r#"{"verification":"#),
                Answer::EchoJson(header("x-okta-verification-challenge")),
                Answer::Literal("}"),
            ],
            ..QUESTION
        }],
        patience_seconds: Some(3),
        retries: Retries { after: Retried::ServerErrors, signed: Signed::Once, schedule: "once", ..RETRIES_UNKNOWN },
        ..PROVIDER
    },
    Provider {
        name: "pagerduty",
        title: "PagerDuty",
        documentation: "https://developer.pagerduty.com/docs/verifying-signatures",
        schemes: &[Scheme {
            signature: Place::Header("x-pagerduty-signature"),
            separator: Some(","),
            prefix: "v1=",
            event_id: &[json("/event/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the event's",
            event_type: &[json("/event/event_type")],
            ..SCHEME
        }],
        headers: &["x-webhook-id", "x-webhook-subscription"],
        patience_seconds: Some(5),
        retries: retries(Retried::ServerErrorsAnd(&[429]), 20 * MINUTE, "4 times in about 20 min"),
        ..PROVIDER
    },
    Provider {
        name: "sns",
        title: "Amazon SNS",
        documentation: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        schemes: &[Scheme {
            signature: Place::Json("/Signature"),
            encoding: Base64,
            algorithm: RsaSha256,
            secret: SecretForm::SnsCertificate,
            content: Content::Sns,
            event_id: &[json("/MessageId")],
            event_id_rating: IdRating::Event,
            rating_reason: "MessageId is signed, and the message's",
            event_type: &[json("/Type")],
            types: &["Notification", "UnsubscribeConfirmation"],
            ..SCHEME
        }],
        required: &[Setting::Topics],
        patience_seconds: Some(15),
        retries: retries(
            Retried::ServerErrors,
            HOUR,
            "3 times, 20 s apart; up to an hour by the subscription's policy",
        ),
        remarks: &["Raw message delivery has no signature: leave it off."],
        ..PROVIDER
    },
    Provider {
        name: "twilio",
        title: "Twilio",
        documentation: "https://www.twilio.com/docs/usage/security",
        schemes: &[Scheme {
            signature: Place::Header("x-twilio-signature"),
            encoding: Base64,
            algorithm: HmacSha1,
            content: Content::Twilio,
            event_id: &[
                header("i-twilio-idempotency-token"),
                form("MessageSid"),
                form("CallSid"),
                query("MessageSid"),
                query("CallSid"),
                json("/*/id"),
            ],
            body: BodyForm::Any,
            event_id_rating: IdRating::Hint,
            rating_reason: "the token is not signed, and the Sid is the message's or call's, which has many events",
            event_type: &[
                form("MessageStatus"),
                form("SmsStatus"),
                form("CallStatus"),
                query("MessageStatus"),
                query("SmsStatus"),
                query("CallStatus"),
                json("/*/type"),
            ],
            methods: &["POST", "GET"],
            ..SCHEME
        }],
        // An answer with a body would be read as TwiML.
        status_accepted: 204,
        patience_seconds: Some(15),
        retries: Retries {
            signed: Signed::Unknown,
            after: Retried::Unknown,
            horizon_seconds: Some(4 * HOUR),
            schedule: "once if it could not connect; more by the address's fragment or a rule; Event Streams for 4 h",
        },
        ..PROVIDER
    },
    Provider {
        name: "bitbucket",
        title: "Bitbucket",
        documentation: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("x-hub-signature"),
            prefix: "sha256=",
            event_id: &[header("x-request-uuid"), header("x-request-id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            event_type: &[header("x-event-key"), json("/eventKey")],
            ..SCHEME
        }],
        // Data Center's "Test connection".
        unsigned_ping: &[Absent(header("x-hub-signature")), Is(header("x-event-key"), "diagnostics:ping")],
        headers: &["x-hook-uuid", "x-attempt-number"],
        patience_seconds: Some(10),
        retries: retries(Retried::ServerErrors, 3 * MINUTE, "Cloud: twice after a 5xx; Data Center: never"),
        ..PROVIDER
    },
    Provider {
        name: "jira",
        title: "Jira",
        documentation: "https://developer.atlassian.com/cloud/jira/platform/webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("x-hub-signature"),
            prefix: "sha256=",
            timestamp: Some(millis_in_body("/timestamp", None)),
            event_id: &[header("x-atlassian-webhook-identifier")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            event_type: &[json("/webhookEvent")],
            ..SCHEME
        }],
        headers: &["x-atlassian-webhook-retry"],
        patience_seconds: Some(20),
        retries: Retries {
            signed: Signed::Unknown,
            after: Retried::ServerErrorsAnd(&[408, 409, 425, 429]),
            horizon_seconds: Some(75 * MINUTE),
            schedule: "5 times, 5 to 15 min apart",
        },
        remarks: &["Only an administrator's webhooks with a secret are signed; a body that is excluded is refused."],
        ..PROVIDER
    },
    Provider {
        name: "intercom",
        title: "Intercom",
        documentation: "https://developers.intercom.com/docs/webhooks",
        schemes: &[Scheme {
            signature: Place::Header("x-hub-signature"),
            prefix: "sha1=",
            algorithm: HmacSha1,
            event_id: &[json("/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the notification's",
            varies: &[
                json("/delivery_attempts"),
                json("/delivery_status"),
                json("/delivered_at"),
                json("/first_sent_at"),
            ],
            event_type: &[json("/topic")],
            ..SCHEME
        }],
        handshakes: &[Handshake { method: "HEAD", ..QUESTION }],
        patience_seconds: Some(5),
        retries: Retries {
            schedule: "not published; it suspends the webhook after 7 days of failures",
            ..RETRIES_UNKNOWN
        },
        ..PROVIDER
    },
    Provider {
        name: "razorpay",
        title: "Razorpay",
        documentation: "https://razorpay.com/docs/webhooks/validate-test/",
        schemes: &[Scheme {
            signature: Place::Header("x-razorpay-signature"),
            event_id: &[header("x-razorpay-event-id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            event_type: &[json("/event")],
            ..SCHEME
        }],
        patience_seconds: Some(5),
        retries: retries(Retried::NotSuccess, DAY, "for 24 h").signed(Signed::Once),
        remarks: &["A repetition is signed with the secret of its first attempt: keep the old one for 24 h."],
        ..PROVIDER
    },
    Provider {
        name: "coinbase_commerce",
        title: "Coinbase Commerce",
        documentation: "https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-security",
        schemes: &[Scheme {
            signature: Place::Header("x-cc-webhook-signature"),
            event_id: &[json("/event/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the event's",
            varies: &[json("/attempt_number"), json("/scheduled_for")],
            event_type: &[json("/event/type")],
            ..SCHEME
        }],
        retries: retries(Retried::NotOk, 3 * DAY, "for 3 days, at most an hour apart").signed(Signed::Afresh),
        ..PROVIDER
    },
    Provider {
        name: "sentry",
        title: "Sentry",
        documentation: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("sentry-hook-signature"),
            event_id: &[header("request-id")],
            event_id_rating: IdRating::None,
            rating_reason: "request-id is another one for each attempt",
            beside: &[header("sentry-hook-resource")],
            event_type: &[header("sentry-hook-resource")],
            event_subtype: &[json("/action")],
            ..SCHEME
        }],
        headers: &["sentry-hook-timestamp"],
        patience_seconds: Some(1),
        retries: Retries {
            after: Retried::ServerErrors,
            signed: Signed::Once,
            horizon_seconds: Some(15 * MINUTE),
            schedule: "published integrations 3 times, 5 min apart; internal ones never",
        },
        remarks: &[
            "An internal integration never repeats; where it should count equal issue events, set event_id = \"header:request-id\".",
        ],
        ..PROVIDER
    },
    Provider {
        name: "vercel",
        title: "Vercel",
        documentation: "https://vercel.com/docs/webhooks/webhooks-api",
        schemes: &[Scheme {
            signature: Place::Header("x-vercel-signature"),
            algorithm: HmacSha1,
            event_id: &[json("/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the delivery's",
            event_type: &[json("/type")],
            ..SCHEME
        }],
        patience_seconds: Some(30),
        ..PROVIDER
    },
    Provider {
        name: "asana",
        title: "Asana",
        documentation: "https://developers.asana.com/docs/webhooks-guide",
        schemes: &[Scheme {
            signature: Place::Header("x-hook-signature"),
            rating_reason: "it sends lists of events without an id",
            event_type: &[json("/events/*/action")],
            ..SCHEME
        }],
        handshakes: &[Handshake {
            method: "POST",
            when: &[Present(header("x-hook-secret"))],
            check: Check::OffersSecret(header("x-hook-secret")),
            headers: &[("x-hook-secret", Answer::Echo(header("x-hook-secret")))],
            ..QUESTION
        }],
        patience_seconds: Some(10),
        retries: retries(
            Retried::AllBut(&[200, 204]),
            DAY,
            "for 24 h, then it deletes the webhook; a heartbeat every 8 h",
        ),
        ..PROVIDER
    },
    Provider {
        name: "circleci",
        title: "CircleCI",
        documentation: "https://circleci.com/docs/guides/integration/outbound-webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("circleci-signature"),
            separator: Some(","),
            prefix: "v1=",
            event_id: &[json("/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the event's",
            event_type: &[header("circleci-event-type"), json("/type")],
            ..SCHEME
        }],
        patience_seconds: Some(10),
        retries: Retries {
            after: Retried::NotSuccess,
            signed: Signed::Once,
            horizon_seconds: None,
            schedule: "later; not published",
        },
        ..PROVIDER
    },
    Provider {
        name: "line",
        title: "LINE",
        documentation: "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
        schemes: &[Scheme {
            signature: Place::Header("x-line-signature"),
            encoding: Base64,
            event_id: &[json("/events/*/webhookEventId")],
            event_id_rating: IdRating::Events,
            rating_reason: "the ids of its list are signed, and stay the same when it tries again",
            varies: &[json("/events/*/deliveryContext/isRedelivery")],
            event_type: &[json("/events/*/type")],
            ..SCHEME
        }],
        patience_seconds: Some(2),
        retries: Retries {
            after: Retried::NotSuccess,
            signed: Signed::Afresh,
            horizon_seconds: None,
            schedule: "only where redelivery is switched on; not published",
        },
        ..PROVIDER
    },
    Provider {
        name: "woocommerce",
        title: "WooCommerce",
        documentation: "https://woocommerce.com/document/webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("x-wc-webhook-signature"),
            encoding: Base64,
            event_id: &[header("x-wc-webhook-delivery-id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            beside: &[header("x-wc-webhook-topic")],
            event_type: &[header("x-wc-webhook-topic")],
            ..SCHEME
        }],
        unsigned_ping: &[Absent(header("x-wc-webhook-signature")), Present(form("webhook_id"))],
        headers: &["x-wc-webhook-source", "x-wc-webhook-resource", "x-wc-webhook-event", "x-wc-webhook-id"],
        patience_seconds: Some(60),
        retries: Retries {
            after: Retried::Never,
            schedule: "none; the seventh failure in a row disables it",
            ..RETRIES_UNKNOWN
        },
        ..PROVIDER
    },
    Provider {
        name: "typeform",
        title: "Typeform",
        documentation: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("typeform-signature"),
            prefix: "sha256=",
            encoding: Base64,
            event_id: &[json("/event_id")],
            event_id_rating: IdRating::Event,
            rating_reason: "event_id is signed, and the event's",
            event_type: &[json("/event_type")],
            ..SCHEME
        }],
        patience_seconds: Some(30),
        retries: retries(
            Retried::AllBut(&[200, 201, 202, 204, 404, 410]),
            11 * HOUR,
            "408, 423, 429, 503: every 2 to 3 min for 10 h; others some times; 404 and 410 disable it",
        ),
        remarks: &[
            "A 404 disables the webhook at once: take it out at Typeform before you remove or rename the endpoint.",
        ],
        ..PROVIDER
    },
    Provider {
        name: "twitter",
        title: "X (Twitter)",
        documentation: "https://docs.x.com/x-api/webhooks",
        schemes: &[Scheme {
            signature: Place::Headers(&["x-twitter-webhooks-signature", "x-twitter-webhooks-signature-oauth2"]),
            prefix: "sha256=",
            encoding: Base64,
            event_id: &[json("/data/event_uuid")],
            event_id_rating: IdRating::Hint,
            rating_reason: "two types of event can share event_uuid, and account activity has none",
            event_type: &[
                json("/data/event_type"),
                Source::MembersBeside {
                    of: "",
                    names: &[
                        "for_user_id",
                        "user_has_blocked",
                        "is_blocked_by",
                        "apps",
                        "users",
                        "data",
                        "includes",
                        "matching_rules",
                    ],
                },
            ],
            event_subtype: &[json("/follow_events/*/type"), json("/block_events/*/type"), json("/mute_events/*/type")],
            ..SCHEME
        }],
        // Anyone may ask, and the answer is a signature under the secret that signs bodies.
        handshakes: &[Handshake {
            when: &[Present(query("crc_token"))],
            check: Check::PlainToken(query("crc_token")),
            headers: &[JSON],
            body: &[
                Answer::Literal(r#"{"response_token":"sha256="#),
                Answer::Hmac(Base64, query("crc_token")),
                Answer::Literal(r#""}"#),
            ],
            ..QUESTION
        }],
        patience_seconds: Some(3),
        retries: Retries {
            after: Retried::NotOk,
            signed: Signed::Once,
            horizon_seconds: Some(5 * MINUTE),
            schedule: "enterprise: after 3, 27 and 242 s; others not published",
        },
        remarks: &[
            "Where the app has an OAuth 2.0 client secret, that is the newest secret: the challenge is answered with it.",
        ],
        ..PROVIDER
    },
    Provider {
        name: "docusign",
        title: "DocuSign",
        documentation: "https://developers.docusign.com/platform/webhooks/connect/hmac/",
        schemes: &[Scheme {
            signature: Place::NumberedHeaders("x-docusign-signature-"),
            encoding: Base64,
            body: BodyForm::Any,
            varies: &[json("/retryCount")],
            event_type: &[json("/event")],
            ..SCHEME
        }],
        patience_seconds: Some(100),
        retries: Retries {
            after: Retried::NotSuccess,
            horizon_seconds: Some(15 * DAY),
            schedule: "where acknowledgement is required: for up to 15 days, older modes 10 times a day apart",
            signed: Signed::Unknown,
        },
        remarks: &["Its older XML formats have no type."],
        ..PROVIDER
    },
    Provider {
        name: "box",
        title: "Box",
        documentation: "https://developer.box.com/guides/webhooks/v2/signatures-v2/",
        schemes: &[Scheme {
            signature: Place::Headers(&["box-signature-primary", "box-signature-secondary"]),
            encoding: Base64,
            content: Content::Parts(&[Body, Part::Timestamp]),
            timestamp: Some(Timestamp {
                future_tolerance_seconds: Some(MINUTE),
                ..rfc3339_in_header("box-delivery-timestamp", Some(600))
            }),
            require: &[("box-signature-version", "1"), ("box-signature-algorithm", "HmacSHA256")],
            event_id: &[json("/id"), header("box-delivery-id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the same at each attempt; box-delivery-id is neither",
            event_type: &[json("/trigger")],
            ..SCHEME
        }],
        patience_seconds: Some(30),
        retries: Retries {
            after: Retried::NotSuccess,
            signed: Signed::Afresh,
            horizon_seconds: None,
            schedule: "10 times, ever more rarely, from 5 min on",
        },
        ..PROVIDER
    },
    Provider {
        name: "trello",
        title: "Trello",
        documentation: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
        schemes: &[Scheme {
            signature: Place::Header("x-trello-webhook"),
            encoding: Base64,
            algorithm: HmacSha1,
            content: Content::Parts(&[Body, Url]),
            event_id: &[json("/action/id")],
            event_id_rating: IdRating::Event,
            rating_reason: "the id is signed, and the action's",
            event_type: &[json("/action/type")],
            ..SCHEME
        }],
        handshakes: &[Handshake { method: "HEAD", ..QUESTION }],
        patience_seconds: Some(30),
        retries: Retries {
            after: Retried::NotSuccess,
            signed: Signed::Once,
            horizon_seconds: Some(6 * MINUTE),
            schedule: "3 times: after 30, 60 and 120 s",
        },
        remarks: &[
            "Two webhooks at one endpoint send the same action, and it is processed once: give each an endpoint of its own.",
        ],
        ..PROVIDER
    },
    Provider {
        name: "zendesk",
        title: "Zendesk",
        documentation: "https://developer.zendesk.com/documentation/webhooks/verifying/",
        schemes: &[Scheme {
            signature: Place::Header("x-zendesk-webhook-signature"),
            encoding: Base64,
            content: Content::Parts(&[Part::Timestamp, Body]),
            timestamp: Some(rfc3339_in_header("x-zendesk-webhook-signature-timestamp", None)),
            event_id: &[header("x-zendesk-webhook-invocation-id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "its headers are not signed",
            body: BodyForm::Any,
            event_type: &[json("/type")],
            methods: &["POST", "GET", "PUT", "PATCH", "DELETE"],
            ..SCHEME
        }],
        headers: &["x-zendesk-webhook-id", "x-zendesk-account-id"],
        patience_seconds: Some(12),
        retries: Retries {
            signed: Signed::Unknown,
            after: Retried::Only(&[409, 429, 503]),
            horizon_seconds: None,
            schedule: "a 409 3 times, a time-out 5 times; a 429 or 503 only with Retry-After under 60",
        },
        remarks: &["Method and address are not signed: requests without a body look alike but for their id."],
        ..PROVIDER
    },
    Provider {
        name: "calendly",
        title: "Calendly",
        documentation: "https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures",
        schemes: &[Scheme {
            signature: Place::Header("calendly-webhook-signature"),
            separator: Some(","),
            prefix: "v1=",
            content: Content::Parts(&[Part::Timestamp, Literal("."), Body]),
            timestamp: Some(seconds_in_item("t=", Some(DAY + HOUR))),
            event_type: &[json("/event")],
            ..SCHEME
        }],
        patience_seconds: Some(15),
        retries: retries(
            Retried::NotSuccess,
            DAY,
            "ever more rarely for 24 h, then it disables the webhook; a 410 deletes it",
        ),
        remarks: &["A 410 deletes the subscription."],
        ..PROVIDER
    },
    Provider {
        name: "buildkite",
        title: "Buildkite",
        documentation: "https://buildkite.com/docs/apis/webhooks",
        schemes: &[
            Scheme {
                name: "signature",
                signature: Place::Header("x-buildkite-signature"),
                separator: Some(","),
                prefix: "signature=",
                content: Content::Parts(&[Part::Timestamp, Literal("."), Body]),
                timestamp: Some(seconds_in_item("timestamp=", None)),
                event_type: &[header("x-buildkite-event"), json("/event")],
                ..SCHEME
            },
            Scheme {
                name: "token",
                signature: Place::Header("x-buildkite-token"),
                event_type: &[header("x-buildkite-event"), json("/event")],
                ..TOKEN
            },
        ],
        headers: &["x-buildkite-request"],
        ..PROVIDER
    },
    Provider {
        name: "bigcommerce",
        title: "BigCommerce",
        documentation: "https://developer.bigcommerce.com/docs/integrations/webhooks",
        schemes: &[Scheme {
            secret: SecretForm::Utf8,
            with_public_key: None,
            timestamp: Some(seconds_in_header("webhook-timestamp", Some(2 * DAY + HOUR))),
            event_type: &[json("/scope")],
            ..STANDARD_WEBHOOKS
        }],
        retries: retries(Retried::NotSuccess, 2 * DAY + 240, "11 times in 48 h, from 1 min to a day apart"),
        ..PROVIDER
    },
    Provider {
        name: "telegram",
        title: "Telegram",
        documentation: "https://core.telegram.org/bots/api#setwebhook",
        schemes: &[Scheme {
            signature: Place::Header("x-telegram-bot-api-secret-token"),
            event_id: &[json("/update_id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "a token signs nothing",
            event_type: &[Source::MembersBeside { of: "", names: &["update_id"] }],
            ..TOKEN
        }],
        patience_seconds: Some(60),
        retries: retries(Retried::NotSuccess, DAY, "at once, then ever more rarely for 24 h, heeding Retry-After")
            .signed(Signed::Once),
        ..PROVIDER
    },
    Provider {
        name: "msgraph",
        title: "Microsoft Graph",
        documentation: "https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
        schemes: &[Scheme {
            signature: Place::JsonEach { list: "/value", member: "/clientState" },
            event_id: &[json("/value/*/id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "a token signs nothing, and it is the first of a list; lifecycle notifications have none, and each counts",
            without_id: WithoutId::Arrival,
            varies: &[json("/validationTokens")],
            event_type: &[json("/value/*/changeType"), json("/value/*/lifecycleEvent")],
            ..TOKEN
        }],
        handshakes: &[Handshake {
            method: "POST",
            when: &[Present(query("validationToken"))],
            headers: &[TEXT, NO_SNIFFING],
            body: &[Answer::Echo(query("validationToken"))],
            ..QUESTION
        }],
        status_accepted: 202,
        patience_seconds: Some(3),
        retries: retries(Retried::NotSuccess, 4 * HOUR, "ever more rarely for 4 h"),
        ..PROVIDER
    },
    Provider {
        name: "cloudevents",
        title: "CloudEvents over HTTP",
        documentation: "https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
        schemes: &[
            Scheme { name: "header", signature: Place::Header("authorization"), prefix: "Bearer ", ..CLOUDEVENTS },
            Scheme { name: "query", signature: Place::Query("access_token"), ..CLOUDEVENTS },
        ],
        handshakes: &[Handshake {
            method: "OPTIONS",
            when: &[Present(header("webhook-request-origin"))],
            headers: &[
                ("allow", Answer::Literal("POST")),
                ("webhook-allowed-origin", Answer::Echo(header("webhook-request-origin"))),
                ("webhook-allowed-rate", Answer::Literal("*")),
            ],
            ..QUESTION
        }],
        headers: &["ce-source", "ce-specversion", "ce-subject", "ce-time", "ce-dataschema"],
        ..PROVIDER
    },
    Provider {
        name: "mailgun",
        title: "Mailgun",
        documentation: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
        schemes: &[Scheme {
            signature: Place::Json("/signature/signature"),
            content: Content::Parts(&[Part::Timestamp, Part::Json("/signature/token")]),
            timestamp: Some(Timestamp {
                at: TimestampPlace::Json("/signature/timestamp"),
                ..seconds_in_header("", None)
            }),
            event_id: &[json("/event-data/id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "the event is not signed, only a token beside it",
            digest: DigestOf::Body,
            varies: &[json("/signature")],
            event_type: &[json("/event-data/event")],
            ..SCHEME
        }],
        retries: retries(
            Retried::AllBut(&[200, 406]),
            8 * HOUR,
            "6 times: after 5, 10, 15 min, 1, 2 and 4 h; `delivered` never; 406 stops it",
        ),
        remarks: &["Its JSON webhooks are understood, and not the forms that inbound routes post."],
        ..PROVIDER
    },
    Provider {
        name: "adyen",
        title: "Adyen",
        documentation: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
        schemes: &[
            Scheme {
                name: "item",
                signature: Place::JsonEach {
                    list: "/notificationItems",
                    member: "/NotificationRequestItem/additionalData/hmacSignature",
                },
                encoding: Base64,
                secret: SecretForm::Hex,
                content: Content::Parts(&[
                    Part::Json("/NotificationRequestItem/pspReference"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/originalReference"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/merchantAccountCode"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/merchantReference"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/amount/value"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/amount/currency"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/eventCode"),
                    Literal(":"),
                    Part::JsonOrNothing("/NotificationRequestItem/success"),
                ]),
                event_id: &[json("/notificationItems/*/NotificationRequestItem/pspReference")],
                event_id_rating: IdRating::Hint,
                rating_reason: "eight fields of each item are signed and no more, and nothing separates them",
                event_type: &[json("/notificationItems/*/NotificationRequestItem/eventCode")],
                ..SCHEME
            },
            Scheme {
                name: "header",
                signature: Place::Header("hmacsignature"),
                encoding: Base64,
                secret: SecretForm::Hex,
                event_type: &[json("/type")],
                ..SCHEME
            },
        ],
        patience_seconds: Some(10),
        retries: retries(Retried::NotSuccess, 30 * DAY, "after 9, 18, 27 s, then 2 min to 8 h apart for 30 days"),
        remarks: &["Choose JSON: its form (HTTP POST) and SOAP are not understood."],
        ..PROVIDER
    },
    Provider {
        name: "contentful",
        title: "Contentful",
        documentation: "https://www.contentful.com/developers/docs/webhooks/request-verification/",
        schemes: &[Scheme {
            signature: Place::Header("x-contentful-signature"),
            content: Content::Contentful,
            timestamp: Some(Timestamp {
                unit: TimestampUnit::Milliseconds,
                ..seconds_in_header("x-contentful-timestamp", Some(3 * MINUTE + 30))
            }),
            body: BodyForm::Any,
            event_id: &[header("x-contentful-idempotency-key")],
            event_id_rating: IdRating::Event,
            rating_reason: "the idempotency key, where the request says that it signs it; else it and the digest",
            varies: &[header("x-contentful-webhook-request-attempt")],
            beside: &[header("x-contentful-topic")],
            event_type: &[header("x-contentful-topic")],
            methods: &["POST", "GET", "PUT", "PATCH", "DELETE"],
            ..SCHEME
        }],
        headers: &["x-contentful-webhook-name", "x-contentful-crn", "x-contentful-event-datetime"],
        patience_seconds: Some(30),
        retries: retries(Retried::ServerErrorsAnd(&[429]), 3 * MINUTE, "twice, 30 s apart"),
        ..PROVIDER
    },
    Provider {
        name: "plaid",
        title: "Plaid",
        documentation: "https://plaid.com/docs/api/webhooks/webhook-verification/",
        schemes: &[Scheme {
            signature: Place::Header("plaid-verification"),
            secret: SecretForm::PlaidCredentials,
            content: Content::PlaidToken,
            timestamp: Some(Timestamp {
                tolerance_seconds: Some(DAY + HOUR),
                future_tolerance_seconds: Some(5 * MINUTE),
                ..seconds_in_header("plaid-verification", None)
            }),
            rating_reason: "it sends no id, and the same body again when the same happens again: its token tells when",
            event_type: &[json("/webhook_code")],
            event_subtype: &[json("/webhook_type")],
            ..SCHEME
        }],
        patience_seconds: Some(10),
        retries: retries(Retried::NotOk, DAY, "after 30 s, each wait four times the last, for 24 h"),
        ..PROVIDER
    },
    Provider {
        name: "monday",
        title: "monday.com",
        documentation: "https://developer.monday.com/api-reference/reference/webhooks",
        schemes: &[Scheme {
            signature: Place::Header("authorization"),
            content: Content::MondayToken,
            event_id: &[json("/event/triggerUuid")],
            event_id_rating: IdRating::Hint,
            rating_reason: "the token says nothing about the body",
            varies: &[json("/event/isRetry")],
            event_type: &[json("/event/type")],
            ..SCHEME
        }],
        handshakes: &[Handshake {
            method: "POST",
            when: &[Present(json("/challenge")), Absent(json("/event/type"))],
            headers: &[JSON],
            body: &[Answer::Literal(r#"{"challenge":"#), Answer::EchoJson(json("/challenge")), Answer::Literal("}")],
            ..QUESTION
        }],
        retries: retries(Retried::NotOk, 30 * MINUTE, "every minute for 30 min"),
        remarks: &["Create the webhook by an app: with a personal token it sends no signature."],
        ..PROVIDER
    },
    Provider {
        name: "paypal",
        title: "PayPal",
        documentation: "https://developer.paypal.com/api/rest/webhooks/rest/",
        schemes: &[Scheme {
            signature: Place::Header("paypal-transmission-sig"),
            encoding: Base64,
            algorithm: RsaSha256,
            secret: SecretForm::Certificate {
                header: "paypal-cert-url",
                hosts: &["api.paypal.com", "api.sandbox.paypal.com"],
                path: "/v1/notifications/certs/CERT-",
            },
            content: Content::Parts(&[
                Part::Header("paypal-transmission-id"),
                Literal("|"),
                Part::Timestamp,
                Literal("|"),
                Part::WebhookId,
                Literal("|"),
                Part::Crc32,
            ]),
            timestamp: Some(rfc3339_in_header("paypal-transmission-time", None)),
            require: &[("paypal-auth-algo", "SHA256withRSA")],
            digest: DigestOf::Body,
            event_id: &[json("/id")],
            event_id_rating: IdRating::Hint,
            rating_reason: "the body is covered by a CRC-32 only, which a forger can meet",
            event_type: &[json("/event_type")],
            ..SCHEME
        }],
        required: &[Setting::WebhookId],
        headers: &["paypal-transmission-id", "paypal-transmission-time"],
        retries: retries(Retried::NotSuccess, 3 * DAY, "25 times in 3 days"),
        remarks: &["Events of the simulator need webhook_id = \"WEBHOOK_ID\"."],
        ..PROVIDER
    },
];

/// What each event of Messenger and Instagram has beside the member that says of what kind it is.
const META_MESSAGING: &[&str] = &["sender", "recipient", "timestamp"];

const HUBSPOT: Scheme = Scheme {
    signature: Place::Header("x-hubspot-signature"),
    algorithm: Algorithm::Sha256,
    event_id: &[Source::Json("/*/eventId")],
    event_id_rating: IdRating::Hint,
    rating_reason: "it does not promise that eventId is unique",
    varies: &[Source::Json("/*/attemptNumber")],
    event_type: &[Source::Json("/*/subscriptionType"), Source::Json("/*/eventType")],
    ..SCHEME
};

const CLOUDEVENTS: Scheme = Scheme {
    body: BodyForm::Any,
    event_id: &[Source::EncodedHeader("ce-id"), Source::Json("/id"), Source::Json("/*/id")],
    event_id_rating: IdRating::Hint,
    rating_reason: "a token signs nothing",
    beside: &[Source::EncodedHeader("ce-source")],
    event_type: &[Source::EncodedHeader("ce-type"), Source::Json("/type"), Source::Json("/*/type")],
    ..TOKEN
};
