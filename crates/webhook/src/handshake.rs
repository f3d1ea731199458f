//! Questions that senders ask before, or between, their events, and the answers that they want.

use http::HeaderValue;
use subtle::ConstantTimeEq;

use crate::crypto;
use crate::provider::{Algorithm, Answer, Check, Condition, Handshake, Source, Text};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::secret::{Secret, Secrets};
use crate::terms::Terms;

/// What a handshake is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(Text, String)>,
    /// As it is sent.
    pub body: String,
    /// What must be done before it is.
    pub first: First,
}

/// What must be done before a handshake is answered.
#[derive(Clone, PartialEq, Eq)]
pub enum First {
    /// Nothing.
    Nothing,
    /// This address must be fetched, which confirms a subscription: HTTPS, on a host of the sender, signed by it.
    Fetch {
        /// The whole address.
        url: String,
    },
    /// The sender offers this secret, unsigned. It must be kept, if the operator has opened the endpoint for it; if not,
    /// the handshake must not be answered.
    Keep {
        /// As the sender wrote it.
        secret: String,
    },
}

/// The secret is left out.
impl std::fmt::Debug for First {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            First::Nothing => formatter.write_str("Nothing"),
            First::Fetch { url } => write!(formatter, "Fetch({url:?})"),
            First::Keep { .. } => formatter.write_str("Keep(…)"),
        }
    }
}

impl Handshake {
    /// Whether its answer is made with the endpoint's secret.
    pub fn needs_secret(&self) -> bool {
        let answers = self.body.iter().chain(self.headers.iter().map(|(_, answer)| answer));
        answers.into_iter().any(|answer| matches!(answer, Answer::Hmac(..)))
    }
}

/// The handshake that a request is which this provider leaves unsigned. Anyone may ask; it needs no published key.
pub fn unsigned<'p>(terms: &'p Terms, request: &Request<'_>) -> Option<&'p Handshake> {
    find(terms, request, false)
}

/// The handshake that a request is, among those whose signature is judged first (`signed`) or those where it is not.
pub(crate) fn find<'p>(terms: &'p Terms, request: &Request<'_>, signed: bool) -> Option<&'p Handshake> {
    terms.provider.handshakes.iter().find(|handshake| {
        handshake.signed == signed
            && handshake.method == request.method
            && handshake.when.iter().all(|condition| request.meets(condition))
    })
}

/// Answers a handshake.
///
/// # Errors
/// A [`Refusal`], if what is asked about is empty, or its check does not hold.
pub fn reply(terms: &Terms, handshake: &Handshake, secrets: &Secrets, request: &Request<'_>) -> Result<Reply, Refusal> {
    for condition in handshake.when {
        if let Condition::Present(source) = condition {
            asked(request, source)?;
        }
    }
    let mut first = First::Nothing;
    match &handshake.check {
        Check::None => {}
        Check::VerifyToken(source) => {
            let token = asked(request, source)?;
            let expected = terms.settings.verify_token.as_deref().unwrap_or_default();
            if expected.is_empty() || !bool::from(expected.as_bytes().ct_eq(token.as_bytes())) {
                return Err(Refusal::VerifyTokenMismatch { what: source.to_string() });
            }
        }
        Check::PlainToken(source) => {
            let token = asked(request, source)?;
            if !is_plain_length(token.len()) || !is_plain(token.as_bytes()) {
                return Err(Refusal::ChallengeUnacceptable { what: source.to_string() });
            }
        }
        Check::OffersSecret(source) => first = First::Keep { secret: asked(request, source)? },
    }
    let mut headers = Vec::with_capacity(handshake.headers.len());
    for (name, answer) in handshake.headers {
        let value = answered(answer, secrets, request)?;
        // What cannot be a header was none when it came.
        if HeaderValue::from_str(&value).is_ok() {
            headers.push((*name, value));
        }
    }
    let body = handshake.body.iter().map(|answer| answered(answer, secrets, request)).collect::<Result<String, _>>()?;
    Ok(Reply { status: handshake.status, headers, body, first })
}

/// The longest challenge that is answered with a signature, in bytes; X's have 48.
const PLAIN_TOKEN_BYTES_MAX: usize = 64;

/// Whether a challenge of so many bytes is answered with a signature.
pub(crate) fn is_plain_length(bytes: usize) -> bool {
    (1..=PLAIN_TOKEN_BYTES_MAX).contains(&bytes)
}

/// Whether a challenge may hold this.
pub(crate) fn is_plain(part: &[u8]) -> bool {
    part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte))
}

/// Whether a stranger may ask this provider's endpoints to sign something.
pub(crate) fn signs_for_anyone(terms: &Terms) -> bool {
    terms.provider.handshakes.iter().any(|handshake| !handshake.signed && handshake.needs_secret())
}

/// What is asked about, which must not be empty.
fn asked(request: &Request<'_>, source: &Source) -> Result<String, Refusal> {
    request.lookup(source).map(String::from).ok_or_else(|| Refusal::Empty { what: source.to_string() })
}

fn answered(answer: &Answer, secrets: &Secrets, request: &Request<'_>) -> Result<String, Refusal> {
    Ok(match answer {
        Answer::Literal(text) => (*text).to_owned(),
        Answer::Echo(source) => asked(request, source)?,
        Answer::EchoJson(source) => serde_json::Value::String(asked(request, source)?).to_string(),
        Answer::Hmac(encoding, source) => {
            let key = secrets.newest().map_or(b"".as_slice(), Secret::key);
            let text = asked(request, source)?;
            let code = crypto::sign(Algorithm::HmacSha256, key, [text.as_bytes()].into_iter());
            String::from_utf8_lossy(&encoding.encode(&code)).into_owned()
        }
    })
}
