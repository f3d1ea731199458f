//! Where the secrets of endpoints are kept: in SSM's parameter store or in Secrets Manager, one secret a line, newest first.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use aws_types::SdkConfig;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{Endpoint, SecretStore};

/// What SSM puts before the name of a secret that it hands over for Secrets Manager.
const REFERENCE: &str = "/aws/reference/secretsmanager/";

/// Where the secrets of one endpoint of a stage are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A SecureString of the parameter store, by its name.
    Parameter(String),
    /// A secret of Secrets Manager, by its name.
    Secret(String),
}

/// What is kept of one endpoint's secrets. Its `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    text: String,
    /// When it was last written.
    pub changed_at: UnixSeconds,
}

impl Place {
    /// Where those of an endpoint are.
    pub fn of(endpoint: &Endpoint, stage: &str) -> Place {
        let name = endpoint.secret_parameter(stage);
        match endpoint.secret_store {
            SecretStore::ParameterStore => Place::Parameter(name),
            SecretStore::SecretsManager => Place::Secret(name.strip_prefix(REFERENCE).unwrap_or(&name).to_owned()),
        }
    }

    /// Its name, in its own service.
    pub fn name(&self) -> &str {
        match self {
            Place::Parameter(name) | Place::Secret(name) => name,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Parameter(name) => write!(formatter, "the parameter {name}"),
            Place::Secret(name) => write!(formatter, "the secret {name} of Secrets Manager"),
        }
    }
}

impl Kept {
    /// The secrets, newest first, without blank lines and outer white space.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many secrets there are, whether they can be used or not.
    pub fn count(&self) -> usize {
        self.lines().count()
    }

    /// For tests: what was written at an instant.
    #[cfg(test)]
    pub(crate) fn new(text: &str, changed_at: UnixSeconds) -> Kept {
        Kept { text: text.to_owned(), changed_at }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").field("count", &self.count()).field("changed_at", &self.changed_at).finish()
    }
}

/// What is kept in a place; `None` if there is no such parameter or secret, or it has no value yet.
///
/// # Errors
/// If the service does not say.
pub async fn read(configuration: &SdkConfig, place: &Place) -> Result<Option<Kept>> {
    match place {
        Place::Parameter(name) => read_parameter(configuration, name).await,
        Place::Secret(name) => read_secret(configuration, name).await,
    }
    .with_context(|| format!("cannot read {place}"))
}

/// Writes what is to be kept in a place, where `found` is what was read there before. What is new there is encrypted with
/// the key `key_for_new`, or with the service's own; what was there before keeps its key.
///
/// # Errors
/// If the service refuses it, or if another has written there since: then nothing is overwritten.
pub async fn write(
    configuration: &SdkConfig,
    place: &Place,
    found: Option<&Kept>,
    text: &str,
    key_for_new: Option<&str>,
) -> Result<()> {
    // Neither service writes under the condition that nothing has changed. So it is looked at once more just before: of two
    // operators at the same minute, the later one is told. The moment between this look and the write stays open.
    let there = read(configuration, place).await?;
    if there.as_ref().map(Kept::text) != found.map(Kept::text) {
        bail!("{}", changed(place));
    }
    match place {
        Place::Parameter(name) => write_parameter(configuration, place, name, found.is_some(), text, key_for_new).await,
        Place::Secret(name) => write_secret(configuration, place, name, found.is_some(), text, key_for_new).await,
    }
}

/// Another was faster.
fn changed(place: &Place) -> String {
    format!("{place} has changed since it was looked at: nothing was written. Look at it again, then run this again")
}

async fn read_parameter(configuration: &SdkConfig, name: &str) -> Result<Option<Kept>> {
    let answer = aws_sdk_ssm::Client::new(configuration).get_parameters().names(name).with_decryption(true).send();
    let answer = answer.await?;
    let Some(parameter) = answer.parameters().first() else { return Ok(None) };
    let text = parameter.value().context("SSM hands over no value")?.to_owned();
    let changed_at = parameter.last_modified_date().context("SSM does not say when it was changed")?;
    Ok(Some(Kept { text, changed_at: UnixSeconds(changed_at.secs()) }))
}

async fn write_parameter(
    configuration: &SdkConfig,
    place: &Place,
    name: &str,
    is_there: bool,
    text: &str,
    key_for_new: Option<&str>,
) -> Result<()> {
    let ssm = aws_sdk_ssm::Client::new(configuration);
    let key = match is_there {
        true => key(&ssm, name).await.with_context(|| format!("cannot look at {place}"))?,
        false => key_for_new.map(str::to_owned),
    };
    let put = ssm.put_parameter().name(name).value(text).r#type(ParameterType::SecureString).set_key_id(key);
    match put.overwrite(is_there).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("ParameterAlreadyExists") => Err(anyhow!(changed(place))),
        Err(error) => Err(error).with_context(|| format!("cannot write {place}")),
    }
}

/// The key that a parameter is encrypted with: written without it, it would be the account's default from then on, which
/// whoever chose another does not want.
async fn key(ssm: &aws_sdk_ssm::Client, name: &str) -> Result<Option<String>> {
    let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build()?;
    let mut pages = ssm.describe_parameters().parameter_filters(filter).into_paginator().send();
    // A page may be empty and another follow.
    while let Some(page) = pages.next().await {
        let page = page?;
        if let Some(parameter) = page.parameters().iter().find(|parameter| parameter.name() == Some(name)) {
            return Ok(parameter.key_id().map(str::to_owned));
        }
    }
    Ok(None)
}

async fn read_secret(configuration: &SdkConfig, name: &str) -> Result<Option<Kept>> {
    let client = aws_sdk_secretsmanager::Client::new(configuration);
    let Some(described) = unless_absent(client.describe_secret().secret_id(name).send().await)? else {
        return Ok(None);
    };
    let Some(value) = unless_absent(client.get_secret_value().secret_id(name).send().await)? else { return Ok(None) };
    let text = value.secret_string().context("it holds bytes, where text must be")?.to_owned();
    // Not the instant of the version: an older one can have been made the current one again.
    let changed_at = described.last_changed_date().or(value.created_date());
    let changed_at = changed_at.context("Secrets Manager does not say when it was changed")?;
    Ok(Some(Kept { text, changed_at: UnixSeconds(changed_at.secs()) }))
}

/// Secrets Manager's answer; `None` if there is no such secret, or no value in it.
fn unless_absent<T, E, R>(answer: Result<T, SdkError<E, R>>) -> Result<Option<T>>
where
    SdkError<E, R>: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn write_secret(
    configuration: &SdkConfig,
    place: &Place,
    name: &str,
    is_there: bool,
    text: &str,
    key_for_new: Option<&str>,
) -> Result<()> {
    let client = aws_sdk_secretsmanager::Client::new(configuration);
    let put = client.put_secret_value().secret_id(name).secret_string(text).send().await;
    if unless_absent(put).with_context(|| format!("cannot write {place}"))?.is_some() {
        return Ok(());
    }
    if is_there {
        bail!("{}", changed(place));
    }
    let create = client.create_secret().name(name).secret_string(text).set_kms_key_id(key_for_new.map(str::to_owned));
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("ResourceExistsException") => Err(anyhow!(changed(place))),
        Err(error) => Err(error).with_context(|| format!("cannot write {place}")),
    }
}

#[cfg(test)]
mod tests {
    use wharf_webhook::endpoints::Endpoints;

    use super::*;

    #[test]
    fn an_endpoints_secrets_are_where_its_configuration_says() {
        let endpoints = "[endpoints.github]\nprovider = \"github\"\n\
                         [endpoints.shop]\nprovider = \"stripe\"\nsecret_store = \"secretsmanager\"\n";
        let endpoints = Endpoints::parse(endpoints).unwrap();
        let place = |name: &str| Place::of(endpoints.get(name).unwrap(), "production");
        assert_eq!(place("github"), Place::Parameter("/wharf/production/github".into()));
        assert_eq!(place("shop"), Place::Secret("wharf/production/shop".into()));
        assert_eq!(place("shop").to_string(), "the secret wharf/production/shop of Secrets Manager");
    }

    #[test]
    fn what_is_kept_is_counted_by_its_lines_and_never_shown() {
        let kept = Kept::new("\n new \n\nold\n", UnixSeconds(1_754_000_000));
        assert_eq!(kept.lines().collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(format!("{kept:?}"), "Kept { count: 2, changed_at: UnixSeconds(1754000000) }");
    }
}
