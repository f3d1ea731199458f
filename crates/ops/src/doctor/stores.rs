//! Queues, table and bucket, as `limits.rs` counts on them, and what lies in the spool.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, TimeToLiveStatus};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use wharf_webhook::ledger::table::INDEX;
use wharf_webhook::limits::{
    BODY_RETENTION_SECONDS, DEAD_LETTER_RETENTION_SECONDS, QUEUE_RETENTION_SECONDS, RECEIVES_MAX,
    SPOOL_AGE_SECONDS_MAX, VISIBILITY_TIMEOUT_SECONDS,
};

use super::{Finding, Patient};
use crate::step::quoted;

/// What the ledger's records say of when they may be forgotten.
const EXPIRES_AT: &str = "expires_at";
/// What large bodies have before their names, and is all that expires.
const BODIES: &str = "bodies/";
/// What is in the spool.
const SPOOL: &str = "spool/";
const DAY_SECONDS: i64 = 24 * 60 * 60;

type Attributes = HashMap<QueueAttributeName, String>;

impl Patient<'_> {
    pub(super) async fn queue(&self) -> Result<Vec<Finding>> {
        let (about, url) = ("queue", &self.deployment.queue_url);
        let dead_letters = self.attributes(&self.deployment.dead_letter_queue_url).await?;
        let target = dead_letters.get(&QueueAttributeName::QueueArn).context("SQS names no ARN")?;
        let attributes = self.attributes(url).await?;
        let mut findings = Vec::new();
        for (name, wanted, what) in [
            (QueueAttributeName::VisibilityTimeout, VISIBILITY_TIMEOUT_SECONDS, "hides a received message for"),
            (QueueAttributeName::MessageRetentionPeriod, QUEUE_RETENTION_SECONDS, "keeps a message for"),
        ] {
            findings.extend(seconds(about, url, &attributes, name, wanted, what));
        }
        let redrive = json!({ "deadLetterTargetArn": target, "maxReceiveCount": RECEIVES_MAX });
        let found = policy(&attributes, &QueueAttributeName::RedrivePolicy);
        // SQS hands the count back as it was given: a number, or a text.
        let count = found.get("maxReceiveCount").map(|count| count.to_string().trim_matches('"').to_owned());
        let is_right = found.get("deadLetterTargetArn") == redrive.get("deadLetterTargetArn")
            && count == Some(RECEIVES_MAX.to_string());
        if !is_right {
            let said = format!("what is received {RECEIVES_MAX} times in vain does not go to the dead-letter queue");
            findings.push(Finding::wrong(about, said, set_attribute(url, "RedrivePolicy", &redrive)));
        }
        findings.extend(encryption(about, url, &attributes));
        if findings.is_empty() {
            findings.push(Finding::well(
                about,
                "visibility, retention, redrive and encryption are as the code counts on them",
            ));
        }
        Ok(findings)
    }

    pub(super) async fn dead_letter_queue(&self) -> Result<Vec<Finding>> {
        let (about, url) = ("dead-letter queue", &self.deployment.dead_letter_queue_url);
        let queue = self.attributes(&self.deployment.queue_url).await?;
        let source = queue.get(&QueueAttributeName::QueueArn).context("SQS names no ARN")?;
        let attributes = self.attributes(url).await?;
        let (name, what) = (QueueAttributeName::MessageRetentionPeriod, "keeps a message for");
        let retention = seconds(about, url, &attributes, name, DEAD_LETTER_RETENTION_SECONDS, what);
        let mut findings = Vec::from_iter(retention);
        let allowed = policy(&attributes, &QueueAttributeName::RedriveAllowPolicy);
        let sources = allowed.get("sourceQueueArns").and_then(Value::as_array);
        let is_allowed = allowed.get("redrivePermission").and_then(Value::as_str) == Some("byQueue")
            && sources.is_some_and(|sources| sources.iter().any(|arn| arn.as_str() == Some(source)));
        if !is_allowed {
            let wanted = json!({ "redrivePermission": "byQueue", "sourceQueueArns": [source] });
            let said = "it takes dead letters of other queues than Wharf's, or none of Wharf's";
            findings.push(Finding::wrong(about, said, set_attribute(url, "RedriveAllowPolicy", &wanted)));
        }
        findings.extend(encryption(about, url, &attributes));
        if findings.is_empty() {
            findings.push(Finding::well(about, "retention, permission and encryption are as they should be"));
        }
        Ok(findings)
    }

    async fn attributes(&self, url: &str) -> Result<Attributes> {
        let call = self.deployment.sqs().get_queue_attributes().queue_url(url);
        let answer = call.attribute_names(QueueAttributeName::All).send().await;
        let answer = answer.with_context(|| self.deployment.cannot("look at a queue"))?;
        Ok(answer.attributes.unwrap_or_default())
    }

    pub(super) async fn table(&self) -> Result<Vec<Finding>> {
        let (about, name) = ("table", &self.deployment.table);
        let dynamodb = self.deployment.dynamodb();
        let described = dynamodb.describe_table().table_name(name).send().await;
        let described = described.with_context(|| self.deployment.cannot("look at the ledger"))?;
        let table = described.table().context("DynamoDB describes nothing")?;
        let mut findings = Vec::new();
        if !table.global_secondary_indexes().iter().any(|index| index.index_name() == Some(INDEX)) {
            let said = format!("it has no index {INDEX}: what waits, failed or is parked is not found");
            findings.push(Finding::wrong(about, said, self.bring_back()));
        }
        if self.deployment.stage == "production" && table.deletion_protection_enabled() != Some(true) {
            let mend = format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled");
            findings.push(Finding::wrong(about, "it is not protected from being deleted", mend));
        }
        if self.deployment.is_local_stack() {
            let said = "expiry and recovery: the emulator does not take them from the template";
            findings.push(Finding::skipped(about, said));
            return Ok(findings);
        }
        let expiry = dynamodb.describe_time_to_live().table_name(name).send().await;
        let expiry = expiry.with_context(|| self.deployment.cannot("look at the ledger's expiry"))?;
        let expiry = expiry.time_to_live_description();
        let is_on = |status| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
        let status = expiry.and_then(|expiry| expiry.time_to_live_status()).cloned();
        if !status.is_some_and(is_on) || expiry.and_then(|expiry| expiry.attribute_name()) != Some(EXPIRES_AT) {
            findings.push(Finding::wrong(
                about,
                format!("nothing is forgotten: its time to live is not on {EXPIRES_AT}, and it grows without end"),
                format!(
                    "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification \
                     Enabled=true,AttributeName={EXPIRES_AT}"
                ),
            ));
        }
        let backups = dynamodb.describe_continuous_backups().table_name(name).send().await;
        let backups = backups.with_context(|| self.deployment.cannot("look at the ledger's recovery"))?;
        let recovery = backups
            .continuous_backups_description()
            .and_then(|backups| backups.point_in_time_recovery_description()?.point_in_time_recovery_status());
        if recovery != Some(&PointInTimeRecoveryStatus::Enabled) {
            findings.push(Finding::wrong(
                about,
                "it cannot be restored to a point in time",
                format!(
                    "aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification \
                     PointInTimeRecoveryEnabled=true"
                ),
            ));
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, "index, expiry, recovery and protection are as they should be"));
        }
        Ok(findings)
    }

    pub(super) async fn bucket(&self) -> Result<Vec<Finding>> {
        let (about, name) = ("bucket", &self.deployment.bucket);
        let s3 = self.deployment.s3();
        let mut findings = Vec::new();
        let blocked = match s3.get_public_access_block().bucket(name).send().await {
            Ok(answer) => answer.public_access_block_configuration().is_some_and(|block| {
                let all = [
                    block.block_public_acls(),
                    block.ignore_public_acls(),
                    block.block_public_policy(),
                    block.restrict_public_buckets(),
                ];
                all.iter().all(|part| *part == Some(true))
            }),
            Err(error) if error.code() == Some("NoSuchPublicAccessBlockConfiguration") => false,
            Err(error) => return Err(error).with_context(|| self.deployment.cannot("look at the bucket")),
        };
        if !blocked {
            let mend = format!(
                "aws s3api put-public-access-block --bucket {name} --public-access-block-configuration \
                 BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
            );
            findings.push(Finding::wrong(about, "it is not shut to the public", mend));
        }
        if self.deployment.is_local_stack() {
            findings.push(Finding::skipped(about, "expiry: the emulator does not take it from the template"));
            return Ok(findings);
        }
        let rules = match s3.get_bucket_lifecycle_configuration().bucket(name).send().await {
            Ok(answer) => answer.rules.unwrap_or_default(),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Vec::new(),
            Err(error) => return Err(error).with_context(|| self.deployment.cannot("look at the bucket's lifecycle")),
        };
        if let Some(said) = lifecycle_problem(&rules) {
            let days = BODY_RETENTION_SECONDS / DAY_SECONDS;
            let rules = json!({ "Rules": [{
                "ID": "bodies-outlive-their-records",
                "Status": "Enabled",
                "Filter": { "Prefix": BODIES },
                "Expiration": { "Days": days },
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
            }] });
            let mend = format!(
                "aws s3api put-bucket-lifecycle-configuration --bucket {name} --lifecycle-configuration {}",
                quoted(rules.to_string())
            );
            findings.push(Finding::wrong(about, said, mend));
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, "it is shut to the public, and bodies alone expire"));
        }
        Ok(findings)
    }

    pub(super) async fn spool(&self) -> Result<Vec<Finding>> {
        let about = "spool";
        let call = self.deployment.s3().list_objects_v2().bucket(&self.deployment.bucket).prefix(SPOOL);
        let answer = call.send().await.with_context(|| self.deployment.cannot("look into the spool"))?;
        let stored = answer.contents().iter().filter_map(|object| object.last_modified().map(|at| at.secs()));
        let Some(oldest) = stored.min() else { return Ok(vec![Finding::well(about, "it is empty")]) };
        let count = answer.contents().len();
        let more = if answer.is_truncated() == Some(true) { " and more" } else { "" };
        let said = format!(
            "{count}{more} deliveries that the queue did not take, the oldest from {} s ago",
            self.now.0 - oldest
        );
        let tail = format!("cargo ops tail{}", self.deployment.again());
        Ok(vec![if self.now.0 - oldest > SPOOL_AGE_SECONDS_MAX {
            let said =
                format!("{said}: the housekeeper does not drain it, and its lines with the outcome \"left\" say why");
            Finding::wrong(about, said, tail)
        } else {
            Finding::hint(about, format!("{said}; the housekeeper drains it each minute"), tail)
        }])
    }
}

/// What is wrong with a duration of a queue.
fn seconds(
    about: &str,
    url: &str,
    attributes: &Attributes,
    name: QueueAttributeName,
    wanted: i64,
    what: &str,
) -> Option<Finding> {
    let has = attributes.get(&name).map_or("", String::as_str);
    (has != wanted.to_string()).then(|| {
        let said = format!("it {what} {has} s, and the code counts on {wanted} (limits.rs)");
        Finding::wrong(
            about,
            said,
            format!("aws sqs set-queue-attributes --queue-url {url} --attributes {name}={wanted}"),
        )
    })
}

fn encryption(about: &str, url: &str, attributes: &Attributes) -> Option<Finding> {
    let has_key = attributes.get(&QueueAttributeName::KmsMasterKeyId).is_some_and(|key| !key.is_empty());
    let is_managed = attributes.get(&QueueAttributeName::SqsManagedSseEnabled).is_some_and(|on| on == "true");
    (!has_key && !is_managed).then(|| {
        let mend = format!("aws sqs set-queue-attributes --queue-url {url} --attributes SqsManagedSseEnabled=true");
        Finding::wrong(about, "what is in it is not encrypted", mend)
    })
}

/// A policy of a queue, as JSON; null if it has none.
fn policy(attributes: &Attributes, name: &QueueAttributeName) -> Value {
    attributes.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A policy is a text within the attributes.
fn set_attribute(url: &str, name: &str, policy: &Value) -> String {
    let attributes = json!({ name: policy.to_string() });
    format!("aws sqs set-queue-attributes --queue-url {url} --attributes {}", quoted(attributes.to_string()))
}

/// What a bucket's rules would do that they should not, or do not do.
fn lifecycle_problem(rules: &[LifecycleRule]) -> Option<String> {
    let enabled: Vec<_> = rules.iter().filter(|rule| *rule.status() == ExpirationStatus::Enabled).collect();
    #[expect(deprecated, reason = "a rule may have been written in either way")]
    let prefix = |rule: &LifecycleRule| {
        let prefix = rule.filter().and_then(|filter| filter.prefix()).or(rule.prefix());
        prefix.unwrap_or_default().to_owned()
    };
    let days = |rule: &LifecycleRule| rule.expiration().and_then(|expiration| expiration.days());
    let expires = |rule: &&&LifecycleRule| rule.expiration().is_some();
    if let Some(rule) = enabled.iter().filter(expires).find(|rule| !prefix(rule).starts_with(BODIES)) {
        return Some(format!(
            "its rule {:?} deletes what begins with {:?}: what is in the spool must stay until it is in the queue",
            rule.id().unwrap_or_default(),
            prefix(rule)
        ));
    }
    let wanted = BODY_RETENTION_SECONDS / DAY_SECONDS;
    match enabled.iter().find(|rule| prefix(rule) == BODIES).map(|rule| days(rule)) {
        Some(Some(days)) if i64::from(days) == wanted => None,
        Some(Some(days)) => Some(format!("large bodies expire after {days} days, and must after {wanted}")),
        Some(None) | None => Some("large bodies never expire".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, LifecycleRuleFilter};

    use super::*;

    fn rule(prefix: &str, days: i32, status: ExpirationStatus) -> LifecycleRule {
        let expiration = LifecycleExpiration::builder().days(days).build();
        let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
        LifecycleRule::builder().id("r").filter(filter).expiration(expiration).status(status).build().unwrap()
    }

    #[test]
    fn a_lifecycle_expires_bodies_after_75_days_and_nothing_else() {
        let on = ExpirationStatus::Enabled;
        let problem = |rules: &[LifecycleRule]| lifecycle_problem(rules).unwrap_or_default();
        assert_eq!(problem(&[rule("bodies/", 75, on.clone())]), "");
        assert_eq!(problem(&[]), "large bodies never expire");
        assert_eq!(problem(&[rule("bodies/", 75, ExpirationStatus::Disabled)]), "large bodies never expire");
        assert_eq!(problem(&[rule("bodies/", 30, on.clone())]), "large bodies expire after 30 days, and must after 75");
        let spool = problem(&[rule("bodies/", 75, on.clone()), rule("", 1, on)]);
        assert_eq!(
            spool,
            "its rule \"r\" deletes what begins with \"\": what is in the spool must stay until it is in the queue"
        );
    }
}
