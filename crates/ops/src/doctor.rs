//! What is misconfigured in a deployment, and the command that mends it: each thing that the template sets, as AWS has it now.
//!
//! | module | what it examines |
//! | --- | --- |
//! | [`secrets`] | the endpoints' secrets |
//! | [`functions`] | the functions, and what leads from the queue to the consumer |
//! | [`stores`] | queues, table, bucket, spool |
//! | [`watch`] | alarms, those who are told of them, logs, the housekeeper's runs |
//! | [`door`] | the front door |
//!
//! A check never stops the others: what it cannot find out, it says.

mod secrets;
mod functions;
mod stores;
mod watch;
mod door;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::StackStatus;
use serde::Serialize;
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::Endpoints;

use crate::deployment::{Deployment, Reach, stack, stack_name};
use crate::project::Project;
use crate::stack_state::hindrance;

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of what: `endpoint github`.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// In words.
    pub said: String,
    /// The command that mends it, where it is wrong or could be better.
    pub mend: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Well,
    /// It works, and somebody should look at it.
    Hint,
    /// It does not work, or will not on the day that it is needed.
    Wrong,
    /// It could not be found out.
    NotChecked,
    /// It means nothing here.
    Skipped,
}

impl Finding {
    fn new(about: &str, verdict: Verdict, said: impl Into<String>, mend: Option<String>) -> Finding {
        Finding { about: about.to_owned(), verdict, said: said.into(), mend }
    }

    fn well(about: &str, said: impl Into<String>) -> Finding {
        Finding::new(about, Verdict::Well, said, None)
    }

    fn hint(about: &str, said: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::new(about, Verdict::Hint, said, Some(mend.into()))
    }

    fn wrong(about: &str, said: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding::new(about, Verdict::Wrong, said, Some(mend.into()))
    }

    fn not_checked(about: &str, error: &anyhow::Error) -> Finding {
        Finding::new(about, Verdict::NotChecked, format!("{error:#}"), None)
    }

    fn skipped(about: &str, said: impl Into<String>) -> Finding {
        Finding::new(about, Verdict::Skipped, said, None)
    }
}

/// What is being examined.
struct Patient<'a> {
    project: &'a Project,
    deployment: &'a Deployment,
    /// The template's parameters, as it was deployed with them.
    parameters: BTreeMap<String, String>,
    /// The type and the physical id of each resource of the stack, by its logical id.
    resources: BTreeMap<String, (String, String)>,
    /// When the stack was made.
    created_at: UnixSeconds,
    now: UnixSeconds,
}

/// Examines a stage that may not be there; without it the local stack. The findings come in the order in which a webhook travels.
///
/// # Errors
/// If there is no stack to examine.
pub async fn examine(project: &Project, deployment: &Deployment, now: UnixSeconds) -> Result<Vec<Finding>> {
    let patient = Patient::admit(project, deployment, now).await?;
    let mut findings = Vec::from_iter(state(deployment).await?);
    match project.endpoints() {
        Ok(endpoints) => {
            let said = format!("{} endpoints, and no problem", endpoints.iter().count());
            findings.push(Finding::well("endpoints.toml", said));
            findings.extend(patient.examine_endpoints(&endpoints).await);
        }
        Err(error) => findings.push(Finding::wrong("endpoints.toml", format!("{error:#}"), "cargo ops check")),
    }
    findings.extend(or_not_checked("function receiver", patient.function("Receiver")).await);
    findings.extend(or_not_checked("queue", patient.queue()).await);
    findings.extend(or_not_checked("dead-letter queue", patient.dead_letter_queue()).await);
    findings.extend(or_not_checked("spool", patient.spool()).await);
    findings.extend(or_not_checked("bucket", patient.bucket()).await);
    findings.extend(or_not_checked("consumption", patient.mapping()).await);
    findings.extend(or_not_checked("function consumer", patient.function("Consumer")).await);
    findings.extend(or_not_checked("concurrency", patient.concurrency()).await);
    findings.extend(or_not_checked("table", patient.table()).await);
    findings.extend(or_not_checked("function housekeeper", patient.function("Housekeeper")).await);
    findings.extend(or_not_checked("housekeeper's runs", patient.housekeeper_runs()).await);
    findings.extend(or_not_checked("alarms", patient.alarms()).await);
    findings.extend(or_not_checked("alarm topic", patient.topic("alarm topic", "AlarmTopic")).await);
    findings.extend(or_not_checked("page topic", patient.topic("page topic", "PageTopic")).await);
    findings.extend(or_not_checked("logs", patient.logs()).await);
    Ok(findings)
}

/// The state of a stage's stack, which is all that there is to examine where its first deployment failed; `None` if there is no
/// stack.
///
/// # Errors
/// If CloudFormation does not say.
pub async fn state(reach: &Reach) -> Result<Option<Finding>> {
    let Some(stack) = stack(&reach.configuration, &reach.stage).await? else { return Ok(None) };
    let status = stack.stack_status().map_or("no status", StackStatus::as_str);
    let name = stack_name(&reach.stage);
    Ok(Some(match hindrance(&reach.stage, status) {
        Some(hindrance) if status.ends_with("_IN_PROGRESS") => Finding::hint("stack", hindrance.what, hindrance.mend),
        Some(hindrance) => Finding::wrong("stack", hindrance.what, hindrance.mend),
        None if status == "UPDATE_ROLLBACK_COMPLETE" => Finding::hint(
            "stack",
            format!("{name} is {status}: the last deployment was rolled back, and what was before it runs"),
            format!("aws cloudformation describe-stack-events --stack-name {name}"),
        ),
        None => Finding::well("stack", format!("{name} is {status}")),
    }))
}

/// What a check found, or why it found nothing.
async fn or_not_checked(about: &str, check: impl Future<Output = Result<Vec<Finding>>>) -> Vec<Finding> {
    match check.await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::not_checked(about, &error)],
    }
}

impl<'a> Patient<'a> {
    async fn admit(project: &'a Project, deployment: &'a Deployment, now: UnixSeconds) -> Result<Patient<'a>> {
        let found = stack(&deployment.configuration, &deployment.stage).await?;
        let found = found.with_context(|| format!("there is no stack {}", stack_name(&deployment.stage)))?;
        let parameter = |parameter: &aws_sdk_cloudformation::types::Parameter| {
            Some((parameter.parameter_key()?.to_owned(), parameter.parameter_value()?.to_owned()))
        };
        Ok(Patient {
            project,
            deployment,
            parameters: found.parameters().iter().filter_map(parameter).collect(),
            resources: resources(deployment, &stack_name(&deployment.stage)).await?,
            created_at: UnixSeconds(found.creation_time().map_or(0, |at| at.secs())),
            now,
        })
    }

    async fn examine_endpoints(&self, endpoints: &Endpoints) -> Vec<Finding> {
        let mut findings = self.secrets(endpoints).await;
        findings.extend(or_not_checked("front door", self.door(endpoints)).await);
        findings
    }

    /// The physical id of a resource.
    fn id(&self, resource: &str) -> Result<&str> {
        let found = self.resources.get(resource).map(|(_, id)| id.as_str());
        found.with_context(|| format!("the stack has no {resource}: an older release deployed it"))
    }

    /// The physical ids of all resources of some types.
    fn ids_of(&self, types: &[&str]) -> Vec<String> {
        let is_one = |kind: &&(String, String)| types.contains(&kind.0.as_str());
        self.resources.values().filter(is_one).map(|(_, id)| id.clone()).collect()
    }

    /// A parameter of the template; `None` if it is empty, or not there.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What brings everything back to what the template says, where no single command can: one of its resources is gone, or
    /// what is wrong with it is a part of it that is not changed by itself.
    fn bring_back(&self) -> String {
        if self.deployment.is_local_stack() {
            return "end `cargo ops dev`, and start it again".to_owned();
        }
        let name = stack_name(&self.deployment.stage);
        let previous: Vec<_> =
            self.parameters.keys().map(|key| format!("ParameterKey={key},UsePreviousValue=true")).collect();
        let set = format!("--stack-name {name} --change-set-name bring-back");
        format!(
            "aws cloudformation create-change-set {set} --deployment-mode REVERT_DRIFT --use-previous-template --capabilities \
             CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameters {} && aws cloudformation wait change-set-create-complete {set} && \
             aws cloudformation execute-change-set {set}",
            previous.join(" ")
        )
    }

    /// What deploys the checkout anew.
    fn deploy(&self) -> String {
        if self.deployment.is_local_stack() {
            return self.bring_back();
        }
        format!("cargo ops deploy{} --execute", self.deployment.again())
    }
}

/// The type and the physical id of each resource of a stack and of those that it nests, by its logical id.
async fn resources(deployment: &Deployment, stack: &str) -> Result<BTreeMap<String, (String, String)>> {
    let client = aws_sdk_cloudformation::Client::new(&deployment.configuration);
    let mut found = BTreeMap::new();
    let mut stacks = vec![stack.to_owned()];
    while let Some(stack) = stacks.pop() {
        let mut pages = client.list_stack_resources().stack_name(&stack).into_paginator().items().send();
        while let Some(resource) = pages.next().await {
            let resource = resource.with_context(|| deployment.cannot("list the stack's resources"))?;
            let (Some(logical), Some(kind), Some(id)) =
                (resource.logical_resource_id(), resource.resource_type(), resource.physical_resource_id())
            else {
                continue;
            };
            if kind == "AWS::CloudFormation::Stack" {
                stacks.push(id.to_owned());
            }
            found.insert(logical.to_owned(), (kind.to_owned(), id.to_owned()));
        }
    }
    Ok(found)
}
