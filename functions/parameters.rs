//! SSM's Parameter Store, where secrets are.

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::api::{Api, CallError};

/// How many names a call takes.
pub const NAMES_MAX: usize = 10;

/// The parameters of the function's account and region.
#[derive(Debug, Clone)]
pub struct Parameters {
    api: Api,
}

/// A parameter that was found. Its value may be a secret, so it is not shown.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    /// The whole: `/wharf/production/github`.
    pub name: String,
    /// Decrypted, if that was wanted.
    pub value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameters<'a> {
    names: &'a [String],
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutParameter<'a> {
    name: &'a str,
    value: &'a str,
    r#type: &'static str,
    overwrite: bool,
}

impl Parameters {
    /// None is asked for yet.
    pub fn new(configuration: &SdkConfig) -> Parameters {
        Parameters { api: Api::new(configuration, "ssm", "SSM") }
    }

    /// Those of at most [`NAMES_MAX`] parameters that there are; secrets in clear.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn secrets(&self, names: &[String]) -> Result<Vec<Parameter>, CallError> {
        self.get(&GetParameters { names, with_decryption: true }).await
    }

    /// The value of one that is no secret; `None` if there is none.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn plain(&self, name: String) -> Result<Option<String>, CallError> {
        let found = self.get(&GetParameters { names: &[name], with_decryption: false }).await?;
        Ok(found.into_iter().next().map(|parameter| parameter.value))
    }

    /// Makes one, of a secret. Returns whether there was none before; if there was, it stays as it is.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create_secret(&self, name: &str, value: &str) -> Result<bool, CallError> {
        let put = PutParameter { name, value, r#type: "SecureString", overwrite: false };
        match self.api.ask::<serde::de::IgnoredAny>("AmazonSSM.PutParameter", text(&put)).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ParameterAlreadyExists") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, question: &GetParameters<'_>) -> Result<Vec<Parameter>, CallError> {
        let found: Found = self.api.ask("AmazonSSM.GetParameters", text(question)).await?;
        Ok(found.parameters)
    }
}

fn text(question: &impl Serialize) -> String {
    // Text, numbers and booleans can always be written.
    serde_json::to_string(question).unwrap_or_default()
}
