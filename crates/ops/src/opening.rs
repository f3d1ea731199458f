//! Opening an endpoint for a secret that its sender brings along. The receiver's side is `functions/receiver/opening.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_sdk_ssm::types::ParameterType;
use wharf_webhook::clock::UnixSeconds;

use crate::deployment::Reach;
use crate::secret_store::{self, Kept, Place};
use crate::secrets::put_before;

/// How often it is looked whether a secret was offered.
const INTERVAL: Duration = Duration::from_secs(1);

/// Opens an endpoint until `until`, waits for a secret at most as long as `time`, puts it before those that the
/// endpoint has, and closes the endpoint again. Returns whether one was offered. `opened` is called when it is open.
///
/// # Errors
/// If SSM refuses any of it, or the endpoint has as many secrets as it can.
pub async fn open(
    reach: &Reach,
    endpoint: &str,
    until: UnixSeconds,
    time: Duration,
    opened: impl FnOnce(),
) -> Result<bool> {
    let ssm = aws_sdk_ssm::Client::new(&reach.configuration);
    // The configuration lets such a sender's secrets be in the parameter store only.
    let secrets = format!("/wharf/{}/{endpoint}", reach.stage);
    let (opening, offered) = (format!("{secrets}/opening"), format!("{secrets}/offered"));
    // What was offered in an earlier opening was not wanted then.
    let _ = ssm.delete_parameter().name(&offered).send().await;
    let put = ssm.put_parameter().name(&opening).value(until.0.to_string()).r#type(ParameterType::String);
    put.overwrite(true).send().await.with_context(|| format!("cannot write the parameter {opening}"))?;
    opened();
    let taken = take(reach, &offered, &Place::Parameter(secrets), time).await;
    for name in [&opening, &offered] {
        let _ = ssm.delete_parameter().name(name).send().await;
    }
    taken
}

async fn take(reach: &Reach, offered: &str, secrets: &Place, time: Duration) -> Result<bool> {
    let offered = Place::Parameter(offered.to_owned());
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        let kept = secret_store::read(&reach.configuration, &offered).await?;
        if let Some(new) = kept.iter().flat_map(Kept::lines).next() {
            put_before(reach, secrets, new).await?;
            return Ok(true);
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(false)
}
