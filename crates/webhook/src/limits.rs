//! Every size and every duration that Wharf relies on, with its reason, and the relations between them.
//!
//! They stand in one table because they only make sense together: a lease that outlives a visibility timeout, or a
//! dead-letter queue that forgets before the queue does, loses events without a single wrong line of code. The
//! relations are asserted below when this is compiled; `tests/template` holds the template to the same numbers.

/// The largest body that is accepted, in bytes: as large as the event that brings it. API Gateway refuses more by itself;
/// as base64, which it makes of all but text and JSON, it lets about 4.4 MB through.
pub const BODY_BYTES_MAX: usize = INVOCATION_BYTES_MAX;
/// The largest body that travels within its message, in bytes; a larger one is stored in S3 before the message is sent. So
/// every message fits a record of the ledger, and ten of them an invocation of the consumer.
pub const BODY_BYTES_INLINE_MAX: usize = 192 * 1024;
/// The largest queue message, in bytes (SQS, `SendMessage`).
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// All headers of a request and its request line, in bytes (API Gateway, HTTP API quotas).
pub const HEADER_BYTES_MAX: usize = 10_240;
/// The same as the receiver gets them: API Gateway adds some of its own (`x-forwarded-for`, `x-amzn-trace-id`).
pub const HEADER_BYTES_ACCEPTED_MAX: usize = HEADER_BYTES_MAX + 4 * 1024;
/// What one byte of a header can grow to in an ASCII JSON text within a JSON text: `\` `\u00e9`.
const HEADER_GROWTH_MAX: usize = 7;
/// Envelope of a queue message without body and headers: ids, digests, times.
const ENVELOPE_BYTES_MAX: usize = 8 * 1024;
/// The largest item of a table, in bytes (DynamoDB).
pub const RECORD_BYTES_MAX: usize = 400 * 1024;
/// What a record holds beside the message and the failures, in bytes: keys, type, ids, instants, and their names.
const RECORD_OVERHEAD_BYTES_MAX: usize = 8 * 1024;
/// How many failed attempts a record remembers, and how much of the reason of each, in characters of up to 4 bytes; in
/// JSON, a control character has 6.
pub const FAILURES_KEPT_MAX: usize = 16;
/// See [`FAILURES_KEPT_MAX`].
pub const REASON_CHARACTERS_MAX: usize = 400;
/// The largest request that invokes a function, in bytes (Lambda).
const INVOCATION_BYTES_MAX: usize = 6 * 1024 * 1024;
/// How many writes a handler may have committed together with its completion, which is one of the 100 that a transaction
/// takes (DynamoDB, `TransactWriteItems`).
pub const EFFECTS_MAX: usize = 99;
/// What they may have together, in bytes (DynamoDB: 4 MB for all items of a transaction, of which one is the record).
pub const EFFECTS_BYTES_MAX: usize = 4 * 1024 * 1024 - RECORD_BYTES_MAX;
/// The longest idempotency key, in bytes; a longer one is replaced by its digest.
pub const KEY_BYTES_MAX: usize = 256;
/// The longest id or type of an event, in bytes; what is longer is neither.
pub const STATED_BYTES_MAX: usize = 1024;
/// How many signatures a request may bring (Stripe and Standard Webhooks send two while a secret rolls; DocuSign one for
/// each of up to 100 keys).
pub const SIGNATURES_MAX: usize = 100;
/// How many signatures a request may bring where public keys verify them, which takes some 100 µs for each of them and each
/// key (Standard Webhooks sends two while a key rolls; the others send one).
pub const PUBLIC_KEY_SIGNATURES_MAX: usize = 4;
/// How much of a text that a stranger wrote goes into a refusal, in characters.
pub const QUOTED_CHARACTERS_MAX: usize = 128;
/// How much of a body goes into a log line, in bytes, where its endpoint says `log_bodies = true`.
pub const LOGGED_BODY_BYTES_MAX: usize = 16 * 1024;
/// How many ranges of source addresses an endpoint may name (GitHub's `meta` lists six for webhooks).
pub const SOURCE_RANGES_MAX: usize = 64;
/// How many secrets an endpoint may have at once: the current one, its predecessor, and room for a mistake.
pub const SECRETS_MAX: usize = 8;
/// How many endpoints one deployment may have: all secrets are fetched together when the receiver starts.
pub const ENDPOINTS_MAX: usize = 200;

/// The receiver's time for one request, in seconds. A sender waits at least as long (`Provider::patience_seconds`) or is
/// answered sooner.
pub const RECEIVER_TIMEOUT_SECONDS: i64 = 10;
/// How long the receiver lets SQS try before it stores a delivery in the spool, in milliseconds; and at most half of what is
/// left of the sender's patience. SQS takes some 10 ms, and each request that waits for it occupies a concurrent execution.
pub const QUEUE_MILLIS_MAX: u64 = 2_000;
/// How long the receiver waits for SSM when it has a copy of the secret, in milliseconds, and when it has none; and at most a
/// third of the sender's patience.
pub const SECRET_MILLIS_MAX: (u64, u64) = (1_000, 3_000);
/// How long API Gateway waits for the receiver, in milliseconds; its own limit is 30,000.
pub const INTEGRATION_TIMEOUT_MILLIS: i64 = 12_000;
/// The consumer's time for one batch, in seconds.
pub const CONSUMER_TIMEOUT_SECONDS: i64 = 30;
/// How much of that is kept back after the handlers' time is up, in seconds, so that what they left can be reported.
pub const CONSUMER_RESERVE_SECONDS: i64 = 3;
/// How much of that is kept back after all writes, in seconds, so that Lambda learns what goes back to the queue.
pub const CONSUMER_REPORT_SECONDS: i64 = 1;
/// How much time an event must have that is processed by itself, after the rest of its batch, in seconds.
pub const ALONE_SECONDS_MIN: i64 = 5;
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

/// How often a message may have been received before it waits in the record instead of the queue: what waits in the queue
/// is received once for each attempt, and SQS gives up after [`RECEIVES_MAX`].
pub const RECEIVES_IN_QUEUE_MAX: i64 = 10;
/// The longest wait that a message spends in the queue, in seconds; a longer one is spent in the record, so that an outage
/// downstream does not fill the 120,000 messages that a queue may have in flight.
pub const QUEUE_WAIT_SECONDS_MAX: i64 = 15 * 60;
/// A message that comes at most this much before its event is due goes back to the queue until then, even if the record
/// holds it: it may be the one that the housekeeper sent, by another clock.
pub const EARLY_SECONDS_MAX: i64 = 60;
/// How many workers may die at an event: each death costs its message a receive, and the queue must not give it up before
/// that is written down.
pub const INTERRUPTIONS_MAX: u32 = 10;
/// The longest wait between two attempts, in seconds.
pub const WAIT_SECONDS_MAX: i64 = 7 * DAY_SECONDS;
/// How many attempts an endpoint may have made of an event.
pub const ATTEMPTS_MAX: u32 = 100;
/// How often the housekeeper runs, in seconds.
pub const HOUSEKEEPER_INTERVAL_SECONDS: i64 = 60;
/// The housekeeper's time for one run, in seconds.
pub const HOUSEKEEPER_TIMEOUT_SECONDS: i64 = 55;
/// How often the housekeeper sends an event of its own through the front door, in seconds.
pub const PROBE_INTERVAL_SECONDS: i64 = 5 * 60;
/// How long it waits for the front door's answer, in seconds: a little longer than API Gateway does.
pub const PROBE_TIMEOUT_SECONDS: u64 = 15;
/// How long such an event may take until it lands before somebody is told, in milliseconds.
pub const PROBE_AGE_MILLIS_MAX: i64 = 60_000;
/// Over how long an endpoint's refusals are counted for its alarm, in seconds.
pub const ALARM_REFUSALS_SECONDS: i64 = 5 * 60;
/// The longest silence of an endpoint that an alarm can tell of, in hours (CloudWatch: an alarm looks back seven days).
pub const ALARM_SILENCE_HOURS_MAX: i64 = 7 * 24;
/// How long deliveries may lie in the spool before somebody is told, in seconds.
pub const SPOOL_AGE_SECONDS_MAX: i64 = 15 * 60;
/// How long the housekeeper takes to read one object of the spool, in seconds. A message has a megabyte at most, which takes S3
/// a tenth of that; an object that stalls holds up one of those that are read at the same time, and no more.
pub const SPOOL_READ_SECONDS_MAX: u64 = 2;
/// How long it waits for what it sent to be claimed before it sends it again, in seconds.
pub const RESEND_SECONDS: i64 = DAY_SECONDS;
/// Over how many partitions of the index its records are spread: one takes 1,000 writes a second.
pub const INDEX_SHARDS: u8 = 8;

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How long the queue keeps a message, in seconds.
pub const QUEUE_RETENTION_SECONDS: i64 = 4 * DAY_SECONDS;
/// How long the dead-letter queue keeps one, in seconds. It counts from when the message was first sent.
pub const DEAD_LETTER_RETENTION_SECONDS: i64 = 14 * DAY_SECONDS;
/// How long a sender may repeat an event, in seconds (Adyen: 30 days).
pub const SENDER_HORIZON_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long the ledger remembers an event after its last transition, in seconds.
pub const RECORD_RETENTION_SECONDS: i64 = 35 * DAY_SECONDS;
/// How old a delivery may be that is still processed, in seconds: an older one may have been processed, and its record
/// forgotten. It waits for a person instead.
pub const AGE_SECONDS_MAX: i64 = 30 * DAY_SECONDS;
/// How long S3 keeps a body, in seconds.
pub const BODY_RETENTION_SECONDS: i64 = 75 * DAY_SECONDS;
/// How many days the message of a completed event may be kept.
pub const KEEP_DAYS_MAX: i64 = 35;

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
/// How long a key serves that cannot be fetched anew, in seconds.
pub const KEY_SERVES_SECONDS_MAX: i64 = DAY_SECONDS;
/// How soon the receiver asks again for a key that it could not fetch anew, or that there was none of, in seconds.
pub const KEY_RETRY_SECONDS: i64 = 60;
/// How many it keeps for each endpoint. A sender has a few at a time; SNS has one in each region.
pub const KEYS_KEPT_MAX: usize = 64;
/// How many it fetches for each endpoint in a minute: a stranger may name any number of addresses on an allowed host.
pub const KEY_FETCHES_PER_MINUTE_MAX: u32 = 30;
/// How soon the receiver asks again whether an endpoint is open for a sender's own secret, in seconds.
pub const OPENING_RETRY_SECONDS: i64 = 1;

/// The largest message that carries its body.
const INLINE_MESSAGE_BYTES_MAX: usize =
    BODY_BYTES_INLINE_MAX.div_ceil(3) * 4 + HEADER_BYTES_MAX * HEADER_GROWTH_MAX + ENVELOPE_BYTES_MAX;
const _: () = assert!(INLINE_MESSAGE_BYTES_MAX <= MESSAGE_BYTES_MAX, "every delivery must fit a queue message");
const _: () = assert!(
    INLINE_MESSAGE_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX + FAILURES_KEPT_MAX * (REASON_CHARACTERS_MAX * 6 + 128)
        <= RECORD_BYTES_MAX,
    "a record must be able to hold its message, and why its attempts failed"
);
// The quotes of a message are escaped in the event that invokes the consumer; its body and digests have none.
const _: () = assert!(
    BATCH_SIZE as usize * (INLINE_MESSAGE_BYTES_MAX + HEADER_BYTES_MAX * HEADER_GROWTH_MAX) <= INVOCATION_BYTES_MAX,
    "a full batch of the largest messages must fit one invocation"
);
const _: () = assert!(INTEGRATION_TIMEOUT_MILLIS > RECEIVER_TIMEOUT_SECONDS * 1000, "our own 503 must come first");
const _: () = assert!(INTEGRATION_TIMEOUT_MILLIS <= 30_000, "API Gateway's limit");
const _: () = assert!(
    QUEUE_MILLIS_MAX + SECRET_MILLIS_MAX.0 < RECEIVER_TIMEOUT_SECONDS as u64 * 1000 / 2,
    "the spool needs its time too"
);
const _: () = assert!(SECRET_MILLIS_MAX.0 < SECRET_MILLIS_MAX.1, "who has a copy waits less");
const _: () = assert!(BODY_BYTES_INLINE_MAX < BODY_BYTES_MAX, "what does not fit a message goes to the bucket");
const _: () =
    assert!(PROBE_TIMEOUT_SECONDS as i64 * 1000 > INTEGRATION_TIMEOUT_MILLIS, "API Gateway's own answer comes first");
const _: () =
    assert!((PROBE_TIMEOUT_SECONDS as i64) < HOUSEKEEPER_TIMEOUT_SECONDS, "an answer that does not come is said");
const _: () = assert!(PROBE_AGE_MILLIS_MAX < PROBE_INTERVAL_SECONDS * 1000, "one is to land before the next");
const _: () = assert!(
    SPOOL_AGE_SECONDS_MAX > 2 * HOUSEKEEPER_INTERVAL_SECONDS,
    "what lies in the spool for a run or two is nobody's trouble"
);
const _: () = assert!(CONSUMER_RESERVE_SECONDS * 2 < CONSUMER_TIMEOUT_SECONDS, "handlers need most of the time");
const _: () = assert!(CONSUMER_REPORT_SECONDS < CONSUMER_RESERVE_SECONDS, "what handlers left must be written");
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
const _: () = assert!(RECORD_RETENTION_SECONDS > AGE_SECONDS_MAX, "what is still processed must find its record");
const _: () = assert!(
    BODY_RETENTION_SECONDS > AGE_SECONDS_MAX + RECORD_RETENTION_SECONDS,
    "a body must outlive the last record that refers to it"
);
const _: () = assert!(WAIT_SECONDS_MAX < AGE_SECONDS_MAX, "a wait must not make a delivery too old");
const _: () = assert!(KEEP_DAYS_MAX * DAY_SECONDS <= RECORD_RETENTION_SECONDS, "a message is kept in its record");
const _: () = assert!(QUEUE_WAIT_SECONDS_MAX < 12 * 60 * 60, "SQS's limit of a visibility timeout");
const _: () = assert!(RECEIVES_IN_QUEUE_MAX * 2 <= RECEIVES_MAX, "copies that come early must not be given up");
const _: () = assert!(INTERRUPTIONS_MAX as i64 <= RECEIVES_IN_QUEUE_MAX, "what kills its worker must come to an end");
const _: () = assert!(EARLY_SECONDS_MAX > LEASE_MARGIN_SECONDS, "two clocks may differ by as much");
const _: () = assert!(
    EARLY_SECONDS_MAX > CONSUMER_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS,
    "what moved into the record must not be due before its message is acknowledged, or another copy's claim loses its message"
);
const _: () = assert!(EARLY_SECONDS_MAX < QUEUE_WAIT_SECONDS_MAX, "only what is nearly due goes back to the queue");
const _: () = assert!(HOUSEKEEPER_TIMEOUT_SECONDS < HOUSEKEEPER_INTERVAL_SECONDS, "one run at a time");
const _: () = assert!(
    RESEND_SECONDS < QUEUE_RETENTION_SECONDS && RESEND_SECONDS > 2 * HOUSEKEEPER_INTERVAL_SECONDS,
    "sent again before the queue forgets it, and not each minute"
);
const _: () = assert!(SECRET_REFRESH_SECONDS < SECRET_TTL_SECONDS, "a mismatch refreshes sooner than age does");
const _: () = assert!(
    KEY_RETRY_SECONDS < KEY_TTL_SECONDS && KEY_TTL_SECONDS < KEY_SERVES_SECONDS_MAX,
    "a key is asked for anew long before it no longer serves"
);
const _: () = assert!(
    SPOOL_READ_SECONDS_MAX as i64 * 4 < HOUSEKEEPER_TIMEOUT_SECONDS,
    "objects that stall leave a run time for others"
);
const _: () = assert!(SECRET_RETRY_SECONDS < SECRET_REFRESH_SECONDS, "nothing at all is worse than an old copy");
