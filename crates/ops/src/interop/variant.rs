//! The requests that are tried: the provider's own sample, and what senders are known to write otherwise.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::project::Project;
use crate::samples::Sample as Body;

/// A request that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// As `cargo ops send` has it.
    Sample,
    /// JSON with text beyond ASCII, as it is.
    NonAscii,
    /// JSON whose text is written with escapes.
    Escapes,
    /// JSON with white space and numbers that no library would write so.
    Spaces,
    /// A form with escapes, spaces and an empty field.
    Form,
    /// A form in which a field has two values.
    Repeated,
    /// JSON to a provider whose sample is a form.
    Json,
    /// No body at all.
    Empty,
    /// An address with escapes in it.
    EscapedAddress,
    /// A CloudEvents event that is all in the body; only libraries make it.
    Structured,
}

impl Variant {
    /// As it is called in a report.
    pub fn title(self) -> &'static str {
        match self {
            Variant::Sample => "the sample",
            Variant::NonAscii => "text beyond ASCII",
            Variant::Escapes => "escapes",
            Variant::Spaces => "odd white space",
            Variant::Form => "a form",
            Variant::Repeated => "a repeated field",
            Variant::Json => "JSON",
            Variant::Empty => "no body",
            Variant::EscapedAddress => "an address with escapes",
            Variant::Structured => "a structured event",
        }
    }

    /// The address that it is posted to.
    pub fn url(self) -> &'static str {
        match self {
            Variant::EscapedAddress => "https://hooks.example.com/webhooks/crossed?from=a%3Ab%2Fc&name=J%C3%BCrgen%20M",
            Variant::Sample
            | Variant::NonAscii
            | Variant::Escapes
            | Variant::Spaces
            | Variant::Form
            | Variant::Repeated
            | Variant::Json
            | Variant::Empty
            | Variant::Structured => "https://hooks.example.com/webhooks/crossed?tenant=7",
        }
    }

    /// Whether `cargo ops send` posts it.
    pub fn is_sent(self) -> bool {
        self != Variant::Structured
    }

    /// Its body, made from the provider's sample.
    ///
    /// # Errors
    /// If there is no sample, or it is no JSON where it must be.
    pub fn of(self, project: &Project, provider: &str) -> Result<Body> {
        let mut body = Body::find(project, provider, None)?;
        let form = |text: &str| (text.as_bytes().to_vec(), "application/x-www-form-urlencoded");
        let json = |text: &str| (text.as_bytes().to_vec(), "application/json");
        match self {
            Variant::Sample | Variant::EscapedAddress => return Ok(body),
            Variant::NonAscii if provider == "sns" => {
                let text = String::from_utf8_lossy(&body.body).replace("Hello world!", "Grüße, 世界 🎉");
                body.body = text.into_bytes();
                return Ok(body);
            }
            Variant::NonAscii => body.body = with_member(&body.body, r#""text":"Grüße, 世界 🎉","#)?,
            Variant::Escapes => {
                body.body =
                    with_member(&body.body, r#""text":"Gr\u00fc\u00DFe \ud83c\udf89 \/ \"\t\\ \u003c&\u003e","#)?;
            }
            Variant::Spaces => {
                body.body = with_member(&body.body, " \t\r\n  \"list\" : [ 1 , 2.50,1E3,-0.0 ]  ,\n")?;
                body.body.extend_from_slice(b"\r\n");
            }
            Variant::Form | Variant::Repeated | Variant::Json | Variant::Empty | Variant::Structured => {
                let (bytes, content_type) = match self {
                    Variant::Form => form(
                        "MessageSid=SM1&Body=Gr%C3%BC%C3%9Fe+%F0%9F%8E%89%0A%7e%2A%21+a%2Bb%26c%3Dd&Media=&From=%2B1415",
                    ),
                    Variant::Repeated => form("MessageSid=SM1&Media=2&Body=b&Media=1&Media=2"),
                    Variant::Empty => (Vec::new(), body.content_type.as_str()),
                    Variant::Sample
                    | Variant::NonAscii
                    | Variant::Escapes
                    | Variant::Spaces
                    | Variant::EscapedAddress
                    | Variant::Json
                    | Variant::Structured => json(r#"{"MessageSid":"SM1","Body":"Grüße, 世界"}"#),
                };
                let content_type = content_type.to_owned();
                (body.body, body.content_type) = (bytes, content_type);
            }
        }
        Ok(body)
    }
}

/// A JSON text with one member more, in its first object.
pub fn with_member(body: &[u8], member: &str) -> Result<Vec<u8>> {
    let at = body.iter().position(|byte| *byte == b'{').context("the sample has no object of JSON")?;
    let (before, behind) = body.split_at(at + 1);
    Ok([before, member.as_bytes(), behind].concat())
}
