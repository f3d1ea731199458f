//! Opening an endpoint for a secret that its sender brings along. The receiver's side is `functions/receiver/opening.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_ssm::types::ParameterType;
use aws_types::SdkConfig;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::limits::SECRETS_MAX;

/// How often it is looked whether a secret was offered.
const INTERVAL: Duration = Duration::from_secs(1);

/// Opens an endpoint of a stage until `until`, waits for a secret at most as long as `time`, puts it before those that the
/// endpoint has, and closes the endpoint again. Returns whether one was offered. `opened` is called when it is open.
///
/// # Errors
/// If SSM refuses any of it, or the endpoint has as many secrets as it can.
pub async fn open(
    configuration: &SdkConfig,
    stage: &str,
    endpoint: &str,
    until: UnixSeconds,
    time: Duration,
    opened: impl FnOnce(),
) -> Result<bool> {
    let ssm = aws_sdk_ssm::Client::new(configuration);
    let secrets = format!("/wharf/{stage}/{endpoint}");
    let (opening, offered) = (format!("{secrets}/opening"), format!("{secrets}/offered"));
    // What was offered in an earlier opening was not wanted then.
    let _ = ssm.delete_parameter().name(&offered).send().await;
    let put = ssm.put_parameter().name(&opening).value(until.0.to_string()).r#type(ParameterType::String);
    put.overwrite(true).send().await.with_context(|| format!("cannot write the parameter {opening}"))?;
    opened();
    let taken = take(&ssm, &offered, &secrets, time).await;
    for name in [&opening, &offered] {
        let _ = ssm.delete_parameter().name(name).send().await;
    }
    taken
}

async fn take(ssm: &aws_sdk_ssm::Client, offered: &str, secrets: &str, time: Duration) -> Result<bool> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        let names = [offered, secrets].map(str::to_owned).to_vec();
        let answer = ssm.get_parameters().set_names(Some(names)).with_decryption(true).send().await;
        let found = answer.with_context(|| format!("cannot read the parameter {offered}"))?;
        let value = |name: &str| {
            let parameter = found.parameters().iter().find(|parameter| parameter.name() == Some(name));
            parameter.and_then(|parameter| parameter.value()).map(str::to_owned)
        };
        if let Some(new) = value(offered) {
            let text = format!("{new}\n{}", value(secrets).unwrap_or_default());
            if text.trim().lines().count() > SECRETS_MAX {
                bail!("{secrets} holds {SECRETS_MAX} secrets already: drop those that no webhook uses any more");
            }
            let put = ssm.put_parameter().name(secrets).value(text.trim()).r#type(ParameterType::SecureString);
            put.overwrite(true).send().await.with_context(|| format!("cannot write the parameter {secrets}"))?;
            return Ok(true);
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(false)
}
