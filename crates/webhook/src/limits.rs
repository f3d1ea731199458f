//! Every size and every duration that Wharf relies on, with its reason, and the relations between them.
//!
//! They stand in one table because they only make sense together: a lease that outlives a visibility timeout, or a
//! dead-letter queue that forgets before the queue does, loses events without a single wrong line of code. The
//! relations are asserted below when this is compiled; `tests/template.rs` holds the template to the same numbers.

/// The largest body that is accepted, in bytes: in base64, and with the largest headers, it still fits a queue message.
pub const BODY_BYTES_MAX: usize = 700 * 1024;
/// The largest queue message, in bytes (SQS, `SendMessage`).
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// All headers of a request and its request line, in bytes (API Gateway, HTTP API quotas).
pub const HEADER_BYTES_MAX: usize = 10_240;
/// What one byte of a header can grow to in an ASCII JSON text within a JSON text: `\` `\u00e9`.
const HEADER_GROWTH_MAX: usize = 7;
/// Envelope of a queue message without body and headers: ids, digests, times.
const ENVELOPE_BYTES_MAX: usize = 8 * 1024;
/// The longest idempotency key, in bytes; a longer one is replaced by its digest.
pub const KEY_BYTES_MAX: usize = 256;
/// The longest id or type of an event, in bytes; what is longer is neither.
pub const STATED_BYTES_MAX: usize = 1024;
/// How many signatures a request may bring (Stripe and Standard Webhooks send two while a secret rolls; DocuSign one for
/// each of up to 100 keys).
pub const SIGNATURES_MAX: usize = 100;
/// How much of a text that a stranger wrote goes into a refusal, in characters.
pub const QUOTED_CHARACTERS_MAX: usize = 128;
/// How many secrets an endpoint may have at once: the current one, its predecessor, and room for a mistake.
pub const SECRETS_MAX: usize = 8;
/// How many endpoints one deployment may have: all secrets are fetched together when the receiver starts.
pub const ENDPOINTS_MAX: usize = 200;

/// The receiver's time for one request, in seconds. A sender waits at least as long (`Provider::patience_seconds`) or is
/// answered sooner.
pub const RECEIVER_TIMEOUT_SECONDS: i64 = 10;
/// How long API Gateway waits for the receiver, in milliseconds; its own limit is 30,000.
pub const INTEGRATION_TIMEOUT_MILLIS: i64 = 12_000;
/// The consumer's time for one batch, in seconds.
pub const CONSUMER_TIMEOUT_SECONDS: i64 = 30;
/// How much of that is kept back after the handlers' time is up, in seconds, so that what they left can be reported.
pub const CONSUMER_RESERVE_SECONDS: i64 = 3;
/// How many messages the consumer takes at once.
pub const BATCH_SIZE: i64 = 10;
/// How long a message waits for others to fill a batch, in seconds.
pub const BATCH_WINDOW_SECONDS: i64 = 0;
/// How long a lease outlives the invocation that holds it, in seconds: by as much may two clocks differ.
pub const LEASE_MARGIN_SECONDS: i64 = 5;
/// How long a received message stays hidden from others, in seconds.
pub const VISIBILITY_TIMEOUT_SECONDS: i64 = 185;
/// How often a message is received before SQS gives it up. High, because throttled polls and early copies count.
pub const RECEIVES_MAX: i64 = 20;

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How long the queue keeps a message, in seconds.
pub const QUEUE_RETENTION_SECONDS: i64 = 4 * DAY_SECONDS;
/// How long the dead-letter queue keeps one, in seconds. It counts from when the message was first sent.
pub const DEAD_LETTER_RETENTION_SECONDS: i64 = 14 * DAY_SECONDS;
/// How long a sender may repeat an event, in seconds (Adyen: 30 days).
pub const SENDER_HORIZON_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long the ledger remembers an event after its last transition, in seconds.
pub const RECORD_RETENTION_SECONDS: i64 = 35 * DAY_SECONDS;

/// How long the receiver uses its copy of a secret, in seconds: so long does a dropped one stay valid at most.
pub const SECRET_TTL_SECONDS: i64 = 300;
/// How old the receiver's copy must be before a signature that does not match has it fetched again, in seconds: a
/// forger causes at most one look-up in that time.
pub const SECRET_REFRESH_SECONDS: i64 = 30;

/// How soon the receiver asks again for a secret that it has no copy of because SSM did not answer, in seconds: until then
/// the endpoint answers 503, and some senders never come again.
pub const SECRET_RETRY_SECONDS: i64 = 1;

/// How long the receiver waits for a key that a sender publishes, in seconds: two in a row, a key and a
/// confirmation, fit a sender's patience.
pub const KEY_FETCH_TIMEOUT_SECONDS: u64 = 2;
/// How much it reads of one, in bytes; certificates have 2 KB.
pub const KEY_BYTES_FETCHED_MAX: usize = 64 * 1024;
/// How long it keeps one, in seconds. A certificate's address changes with it; Plaid's keys expire.
pub const KEY_TTL_SECONDS: i64 = 60 * 60;
/// How many it keeps.
pub const KEYS_KEPT_MAX: usize = 64;
/// How many it fetches in a minute: a stranger may name any number of addresses on an allowed host.
pub const KEY_FETCHES_PER_MINUTE_MAX: u32 = 30;
/// How soon the receiver asks again whether an endpoint is open for a sender's own secret, in seconds.
pub const OPENING_RETRY_SECONDS: i64 = 1;

const _: () = assert!(
    BODY_BYTES_MAX.div_ceil(3) * 4 + HEADER_BYTES_MAX * HEADER_GROWTH_MAX + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX,
    "the largest accepted request must fit a queue message"
);
const _: () = assert!(INTEGRATION_TIMEOUT_MILLIS > RECEIVER_TIMEOUT_SECONDS * 1000, "our own 503 must come first");
const _: () = assert!(INTEGRATION_TIMEOUT_MILLIS <= 30_000, "API Gateway's limit");
const _: () = assert!(CONSUMER_RESERVE_SECONDS * 2 < CONSUMER_TIMEOUT_SECONDS, "handlers need most of the time");
const _: () = assert!(
    VISIBILITY_TIMEOUT_SECONDS >= 6 * CONSUMER_TIMEOUT_SECONDS + BATCH_WINDOW_SECONDS,
    "AWS's rule for an event source mapping, which retries a throttled batch within the visibility timeout"
);
const _: () = assert!(
    VISIBILITY_TIMEOUT_SECONDS > CONSUMER_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS,
    "when a message comes back, the lease of a worker that died has ended"
);
const _: () = assert!(RECEIVES_MAX * VISIBILITY_TIMEOUT_SECONDS < QUEUE_RETENTION_SECONDS, "given up, not forgotten");
const _: () = assert!(DEAD_LETTER_RETENTION_SECONDS > QUEUE_RETENTION_SECONDS, "its clock starts at the first send");
const _: () = assert!(DEAD_LETTER_RETENTION_SECONDS <= 14 * DAY_SECONDS, "SQS's limit");
const _: () = assert!(RECORD_RETENTION_SECONDS > SENDER_HORIZON_SECONDS, "a late duplicate must find its record");
const _: () = assert!(
    RECORD_RETENTION_SECONDS > QUEUE_RETENTION_SECONDS + DEAD_LETTER_RETENTION_SECONDS,
    "a message that was redriven at the last moment must find its record"
);
const _: () = assert!(SECRET_REFRESH_SECONDS < SECRET_TTL_SECONDS, "a mismatch refreshes sooner than age does");
const _: () = assert!(SECRET_RETRY_SECONDS < SECRET_REFRESH_SECONDS, "nothing at all is worse than an old copy");
