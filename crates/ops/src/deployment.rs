//! How to reach a deployment: the local stack, or a stage on AWS. What an operator does is the same on both.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_types::SdkConfig;

use crate::aws;
use crate::project::Project;
use crate::stack::{Facts, STAGE};

/// How to reach a deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// For any client of its services.
    pub configuration: SdkConfig,
    /// As in its secrets' names: `production`, `local`.
    pub stage: String,
    /// What senders post to, without `/webhooks/…`.
    pub api_url: String,
    /// The ledger.
    pub table: String,
    /// The queue of deliveries.
    pub queue_url: String,
    /// The dead-letter queue.
    pub dead_letter_queue_url: String,
    /// The bucket of bodies that are too large for a message.
    pub bucket: String,
    /// The name of the function that takes deliveries from the queue.
    pub consumer_function: String,
    whereabouts: Whereabouts,
}

/// Where it is: what to look at when it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    LocalStack,
    Account,
}

/// The outputs of the template that are asked for.
pub const OUTPUTS: [&str; 6] =
    ["ApiUrl", "TableName", "QueueUrl", "DeadLetterQueueUrl", "BucketName", "ConsumerFunction"];

/// The name of a stage's CloudFormation stack.
pub fn stack_name(stage: &str) -> String {
    format!("wharf-{stage}")
}

impl Deployment {
    /// The stage that is named, by region and credentials from the environment; without a name the local stack that
    /// `cargo ops dev` has up.
    ///
    /// # Errors
    /// If it cannot be reached, or is not there.
    pub async fn find(project: &Project, stage: Option<&str>) -> Result<Deployment> {
        match stage {
            Some(stage) => Deployment::of_stage(aws::from_environment()?, stage).await,
            None => Ok(Facts::read(project)?.deployment()),
        }
    }

    /// The stage of this name, as its CloudFormation stack describes itself.
    ///
    /// # Errors
    /// If there is no such stack, or an older release deployed it.
    pub async fn of_stage(configuration: SdkConfig, stage: &str) -> Result<Deployment> {
        let mut outputs = outputs(&configuration, stage).await?;
        let mut missing = Vec::new();
        let mut output = |name: &'static str| {
            outputs.remove(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let deployment = Deployment {
            stage: stage.to_owned(),
            api_url: output("ApiUrl"),
            table: output("TableName"),
            queue_url: output("QueueUrl"),
            dead_letter_queue_url: output("DeadLetterQueueUrl"),
            bucket: output("BucketName"),
            consumer_function: output("ConsumerFunction"),
            configuration,
            whereabouts: Whereabouts::Account,
        };
        if !missing.is_empty() {
            bail!(
                "the stack {} has no output {}: an older release deployed it. Deploy this one, then run this again",
                stack_name(stage),
                missing.join(", ")
            );
        }
        Ok(deployment)
    }

    /// What could not be done, and what may be the reason, as in `cannot read the ledger of the local stack`.
    pub(crate) fn cannot(&self, what: &str) -> String {
        match self.whereabouts {
            Whereabouts::LocalStack => format!("cannot {what} of the local stack (is `cargo ops dev` still up?)"),
            Whereabouts::Account => {
                format!("cannot {what} of stage {} (the credentials must be its account's, and allowed to)", self.stage)
            }
        }
    }

    /// As in `the ledger of the local stack`.
    pub fn name(&self) -> String {
        match self.whereabouts {
            Whereabouts::LocalStack => "the local stack".to_owned(),
            Whereabouts::Account => format!("stage {}", self.stage),
        }
    }

    /// What a command that is suggested needs to be about the same deployment, as in ` --stage production`.
    pub fn again(&self) -> String {
        match self.whereabouts {
            Whereabouts::LocalStack => String::new(),
            Whereabouts::Account => format!(" --stage {}", self.stage),
        }
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.configuration)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.configuration)
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.configuration)
    }

    pub(crate) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.configuration)
    }

    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.configuration)
    }
}

impl Facts {
    /// The local stack, as operators reach it.
    pub fn deployment(&self) -> Deployment {
        Deployment {
            configuration: self.configuration(),
            stage: STAGE.to_owned(),
            api_url: self.api_url.clone(),
            table: self.table.clone(),
            queue_url: self.queue_url.clone(),
            dead_letter_queue_url: self.dead_letter_queue_url.clone(),
            bucket: self.bucket.clone(),
            consumer_function: self.consumer_function.clone(),
            whereabouts: Whereabouts::LocalStack,
        }
    }
}

async fn outputs(configuration: &SdkConfig, stage: &str) -> Result<BTreeMap<String, String>> {
    let name = stack_name(stage);
    let region = configuration.region().map_or("no region", |region| region.as_ref());
    let client = aws_sdk_cloudformation::Client::new(configuration);
    let described = match client.describe_stacks().stack_name(&name).send().await {
        Ok(described) => described,
        // CloudFormation has no other word for a stack that is not there.
        Err(error) if error.code() == Some("ValidationError") => {
            return Err(anyhow!(
                "there is no stack {name} in {region}: is the stage {stage:?} deployed, in this region, by this account?"
            ));
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot ask CloudFormation in {region} for the stack {name}, whose outputs name its queue and ledger")
            });
        }
    };
    let stack = described.stacks().first().with_context(|| format!("there is no stack {name} in {region}"))?;
    let pair = |output: &aws_sdk_cloudformation::types::Output| {
        Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
    };
    Ok(stack.outputs().iter().filter_map(pair).collect())
}
