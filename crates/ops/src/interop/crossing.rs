//! Which library of which provider is asked, and what is known of it.

use super::variant::Variant;

/// What a library is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Node 20, from npm.
    Node,
    /// Python 3.11, from PyPI.
    Python,
}

/// A provider's scheme and a library that verifies it.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    /// As in `endpoints.toml`.
    pub provider: &'static str,
    /// As in `endpoints.toml`; empty for the only one.
    pub scheme: &'static str,
    /// What it is written for.
    pub language: Language,
    /// Its name in the registry, and in the driver.
    pub package: &'static str,
    /// Whether it signs too.
    pub signs: bool,
    /// How it takes the secret.
    pub secret: Given,
    /// The requests that are tried.
    pub variants: &'static [Variant],
    /// What it must refuse.
    pub refuses: &'static [Negative],
    /// Where it judges otherwise, and why that is known and right.
    pub differs: &'static [(Variant, &'static str)],
    /// What else there is to know.
    pub note: &'static str,
}

/// How a library takes a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// As the sender shows it.
    AsShown,
    /// The sender's text in base64, as a library for Standard Webhooks wants every key.
    InBase64,
}

/// A change that makes a request's signature wrong, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negative {
    /// Another secret, or another key of the sender's.
    OtherSecret,
    /// One member or field more in the body.
    MoreInBody,
    /// Another text at this pointer of the body.
    OtherMember(&'static str),
    /// Signed this many seconds and a minute ago.
    Stale(i64),
}

impl Language {
    /// Where its packages come from.
    pub fn registry(self) -> &'static str {
        match self {
            Node => "npm",
            Python => "PyPI",
        }
    }
}

impl Crossing {
    /// The version that is pinned; `None` if none is.
    pub fn version(&self) -> Option<&'static str> {
        match self.language {
            Node => {
                let line = |line: &'static str| line.trim().strip_prefix(&format!("\"{}\": \"", self.package));
                include_str!("../../interop/node/package.json").lines().find_map(line)?.split('"').next()
            }
            Python => {
                let mut lines = include_str!("../../interop/python/requirements.txt").lines();
                lines.find_map(|line| line.strip_prefix(&format!("{}==", self.package)))
            }
        }
    }
}

use Language::{Node, Python};
use Negative::{MoreInBody, OtherMember, OtherSecret, Stale};
use Variant::{Empty, EscapedAddress, Escapes, Form, Json, NonAscii, Repeated, Sample, Spaces, Structured};

const JSON: &[Variant] = &[Sample, NonAscii, Escapes, Spaces];
const ADDRESSED: &[Variant] = &[Sample, NonAscii, Escapes, Spaces, EscapedAddress];
/// A crossing before anything is known of it: one more member in the body, or another secret, is refused.
const CROSSING: Crossing = Crossing {
    provider: "",
    scheme: "",
    language: Node,
    package: "",
    signs: false,
    secret: Given::AsShown,
    variants: JSON,
    refuses: &[OtherSecret, MoreInBody],
    differs: &[],
    note: "",
};
const STANDARD_WEBHOOKS: Crossing =
    Crossing { package: "standardwebhooks", signs: true, refuses: &[OtherSecret, MoreInBody, Stale(300)], ..CROSSING };
const SLACK: Crossing = Crossing {
    provider: "slack",
    variants: &[Sample, NonAscii, Escapes, Spaces, Form],
    refuses: &[OtherSecret, MoreInBody, Stale(300)],
    ..CROSSING
};
const TWILIO: Crossing = Crossing {
    provider: "twilio",
    package: "twilio",
    signs: true,
    variants: &[Sample, Form, Repeated, Json, EscapedAddress],
    ..CROSSING
};
const HUBSPOT: Crossing = Crossing { provider: "hubspot", signs: true, variants: ADDRESSED, ..CROSSING };
/// HubSpot's documentation decodes twelve escapes of the address before it signs, and so does Wharf, which also takes the
/// address as it is; its libraries sign what they are given.
const HUBSPOT_ADDRESS: &[(Variant, &str)] = &[(
    EscapedAddress,
    "HubSpot's documentation decodes %3A and eleven other escapes of the address before signing, as `send` does; the library \
     takes the address as it is given. Wharf accepts both",
)];
const HUBSPOT_V3: Crossing =
    Crossing { scheme: "v3", refuses: &[OtherSecret, MoreInBody, Stale(300)], differs: HUBSPOT_ADDRESS, ..HUBSPOT };
const ADYEN: Crossing = Crossing { provider: "adyen", signs: true, ..CROSSING };
const ADYEN_ITEM: Crossing = Crossing {
    scheme: "item",
    refuses: &[OtherSecret, OtherMember("/notificationItems/0/NotificationRequestItem/eventCode")],
    ..ADYEN
};
const CLOUDEVENTS: Crossing = Crossing {
    provider: "cloudevents",
    scheme: "header",
    package: "cloudevents",
    signs: true,
    variants: &[Sample, NonAscii, Escapes, Spaces, Structured],
    refuses: &[],
    note: "it reads and writes events; whose token came with one is the receiver's to judge",
    ..CROSSING
};
const MONDAY: Crossing = Crossing {
    provider: "monday",
    signs: true,
    refuses: &[OtherSecret, Stale(300)],
    note: "no library of monday's verifies; this is one that its documentation names",
    ..CROSSING
};

/// Every library that is asked, by provider.
pub static CROSSINGS: &[Crossing] = &[
    Crossing { provider: "github", package: "@octokit/webhooks-methods", signs: true, ..CROSSING },
    Crossing { provider: "github", language: Python, package: "gidgethub", ..CROSSING },
    Crossing {
        provider: "stripe",
        package: "stripe",
        signs: true,
        refuses: &[OtherSecret, MoreInBody, Stale(300)],
        ..CROSSING
    },
    Crossing {
        provider: "stripe",
        language: Python,
        package: "stripe",
        refuses: &[OtherSecret, MoreInBody, Stale(300)],
        ..CROSSING
    },
    Crossing { package: "@slack/bolt", ..SLACK },
    Crossing { language: Python, package: "slack_sdk", signs: true, ..SLACK },
    Crossing {
        provider: "shopify",
        package: "@shopify/shopify-api",
        note: "it also demands the shop's domain, the API version, the topic and the id of the webhook as headers",
        ..CROSSING
    },
    Crossing { provider: "standardwebhooks", ..STANDARD_WEBHOOKS },
    Crossing { provider: "standardwebhooks", language: Python, ..STANDARD_WEBHOOKS },
    Crossing { provider: "svix", package: "svix", ..STANDARD_WEBHOOKS },
    Crossing { provider: "svix", language: Python, package: "svix", ..STANDARD_WEBHOOKS },
    Crossing {
        provider: "gitlab",
        scheme: "token",
        language: Python,
        package: "gidgetlab",
        refuses: &[OtherSecret],
        ..CROSSING
    },
    Crossing { provider: "gitlab", scheme: "signing", ..STANDARD_WEBHOOKS },
    Crossing { provider: "gitlab", scheme: "signing", language: Python, ..STANDARD_WEBHOOKS },
    Crossing {
        provider: "meta",
        package: "whatsapp-api-js",
        differs: &[(
            NonAscii,
            "it escapes what is not ASCII before it verifies. Meta signs and posts bodies that are escaped, so none of its own \
             is affected; Wharf verifies the bytes that came",
        )],
        ..CROSSING
    },
    Crossing { provider: "meta", language: Python, package: "pywa", ..CROSSING },
    Crossing {
        provider: "zoom",
        package: "@zoom/rivet",
        differs: &[
            (Escapes, "it verifies the body as `JSON.stringify` writes it anew, not as it came"),
            (Spaces, "the same"),
        ],
        ..CROSSING
    },
    Crossing { provider: "discord", package: "discord-interactions", ..CROSSING },
    Crossing { provider: "discord", language: Python, package: "discord-interactions", ..CROSSING },
    Crossing { provider: "square", package: "square", variants: ADDRESSED, ..CROSSING },
    Crossing { provider: "square", language: Python, package: "squareup", variants: ADDRESSED, ..CROSSING },
    Crossing { provider: "linear", package: "@linear/sdk", refuses: &[OtherSecret, MoreInBody, Stale(60)], ..CROSSING },
    Crossing {
        provider: "paddle",
        package: "@paddle/paddle-node-sdk",
        refuses: &[OtherSecret, MoreInBody, Stale(5)],
        ..CROSSING
    },
    Crossing {
        provider: "paddle",
        language: Python,
        package: "paddle-python-sdk",
        refuses: &[OtherSecret, MoreInBody, Stale(5)],
        ..CROSSING
    },
    Crossing { provider: "sendgrid", package: "@sendgrid/eventwebhook", ..CROSSING },
    Crossing { provider: "sendgrid", language: Python, package: "sendgrid", ..CROSSING },
    Crossing { package: "@hubspot/api-client", ..HUBSPOT_V3 },
    Crossing { language: Python, package: "hubspot-api-client", ..HUBSPOT_V3 },
    Crossing { scheme: "v2", package: "@hubspot/api-client", ..HUBSPOT },
    Crossing { scheme: "v2", language: Python, package: "hubspot-api-client", ..HUBSPOT },
    Crossing { scheme: "v1", package: "@hubspot/api-client", ..HUBSPOT },
    Crossing { scheme: "v1", language: Python, package: "hubspot-api-client", ..HUBSPOT },
    Crossing {
        provider: "sns",
        package: "sns-validator",
        variants: &[Sample, NonAscii],
        refuses: &[OtherSecret, OtherMember("/Message")],
        note: "the certificate is this run's, handed over in place of a fetch",
        ..CROSSING
    },
    TWILIO,
    Crossing { language: Python, ..TWILIO },
    Crossing { provider: "razorpay", package: "razorpay", ..CROSSING },
    Crossing { provider: "razorpay", language: Python, package: "razorpay", ..CROSSING },
    Crossing { provider: "coinbase_commerce", package: "coinbase-commerce-node", signs: true, ..CROSSING },
    Crossing { provider: "coinbase_commerce", language: Python, package: "coinbase-commerce", ..CROSSING },
    Crossing { provider: "line", package: "@line/bot-sdk", ..CROSSING },
    Crossing { provider: "line", language: Python, package: "line-bot-sdk", ..CROSSING },
    Crossing { provider: "twitter", package: "twitter-autohook", ..CROSSING },
    Crossing { provider: "box", package: "box-node-sdk", refuses: &[OtherSecret, MoreInBody, Stale(600)], ..CROSSING },
    Crossing {
        provider: "box",
        language: Python,
        package: "boxsdk",
        refuses: &[OtherSecret, MoreInBody, Stale(600)],
        ..CROSSING
    },
    Crossing {
        provider: "bigcommerce",
        secret: Given::InBase64,
        note: "BigCommerce signs as Standard Webhooks does; the key is its secret's text, which the library takes in base64",
        ..STANDARD_WEBHOOKS
    },
    Crossing { provider: "bigcommerce", secret: Given::InBase64, language: Python, ..STANDARD_WEBHOOKS },
    Crossing { provider: "telegram", package: "grammy", refuses: &[OtherSecret], ..CROSSING },
    CLOUDEVENTS,
    Crossing { language: Python, ..CLOUDEVENTS },
    Crossing {
        provider: "mailgun",
        package: "mailgun-js",
        variants: &[Sample, NonAscii],
        refuses: &[OtherSecret, OtherMember("/signature/token"), Stale(900)],
        ..CROSSING
    },
    Crossing { package: "@adyen/api-library", variants: &[Sample, NonAscii], ..ADYEN_ITEM },
    Crossing { language: Python, package: "Adyen", variants: &[Sample, NonAscii], ..ADYEN_ITEM },
    Crossing { scheme: "header", package: "@adyen/api-library", ..ADYEN },
    Crossing { scheme: "header", language: Python, package: "Adyen", ..ADYEN },
    Crossing {
        provider: "contentful",
        package: "@contentful/node-apps-toolkit",
        signs: true,
        variants: &[Sample, NonAscii, Escapes, Spaces, EscapedAddress, Empty],
        refuses: &[OtherSecret, MoreInBody, Stale(30)],
        ..CROSSING
    },
    Crossing { package: "jsonwebtoken", ..MONDAY },
    Crossing { language: Python, package: "PyJWT", ..MONDAY },
];

/// The providers of which npm and PyPI have no library that verifies, and what was looked at.
pub static WITHOUT: &[(&str, &str)] = &[
    ("dropbox", "`dropbox` on npm and PyPI does not verify"),
    ("okta", "`@okta/okta-sdk-nodejs` does not verify"),
    ("pagerduty", "`@pagerduty/pdjs` does not verify; only the one for Go does"),
    ("bitbucket", "none of Atlassian's was found; the scheme is GitHub's"),
    ("jira", "none of Atlassian's for these webhooks was found; the scheme is GitHub's"),
    ("intercom", "`intercom-client` does not verify"),
    ("sentry", "Sentry's own are for sending errors"),
    ("vercel", "`@vercel/sdk` does not verify"),
    ("asana", "`asana` on npm and PyPI does not verify"),
    ("circleci", "none was found"),
    ("woocommerce", "`@woocommerce/woocommerce-rest-api` does not verify"),
    ("typeform", "`@typeform/api-client` does not verify"),
    ("docusign", "`docusign-esign` does not verify"),
    ("trello", "none of Trello's was found"),
    ("zendesk", "none of Zendesk's was found"),
    ("calendly", "none of Calendly's was found"),
    ("buildkite", "none of Buildkite's for Node or Python was found"),
    ("msgraph", "`@microsoft/microsoft-graph-client` does not verify"),
    ("plaid", "`plaid` on npm fetches keys and does not verify"),
    (
        "paypal",
        "`paypalrestsdk` does, and only under a chain that ends in an authority of the web, which this run has not",
    ),
];
