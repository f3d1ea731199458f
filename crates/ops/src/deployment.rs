//! How to reach a deployment: the local stack, or a stage on AWS. What an operator does is the same on both.

use std::collections::BTreeMap;
use std::ops::Deref;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use aws_types::SdkConfig;

use crate::aws::{self, Account};
use crate::log_tail::Function;
use crate::project::Project;
use crate::stack::{Facts, STAGE};

/// How to reach the services that a stage uses, whether its stack is there or not: that is enough for its secrets.
#[derive(Debug, Clone)]
pub struct Reach {
    /// For any client of its services.
    pub configuration: SdkConfig,
    /// As in its secrets' names: `production`, `local`.
    pub stage: String,
    /// The key that an endpoint's first secret is encrypted with, if it is not the account's default: the stack's.
    pub key: Option<String>,
    whereabouts: Whereabouts,
}

/// How to reach a deployment: with all that its stack names.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// How to reach its services.
    reach: Reach,
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
    /// The names of the functions' log groups.
    pub log_groups: [(Function, String); 3],
}

/// Whatever needs no stack takes a deployment too.
impl Deref for Deployment {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.reach
    }
}

/// Where it is: what to look at when it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    LocalStack,
    Account,
}

/// The name of a stage's CloudFormation stack.
pub fn stack_name(stage: &str) -> String {
    format!("wharf-{stage}")
}

impl Deployment {
    /// The stage that is named, in that account; without a name the local stack that `cargo ops dev` has up.
    ///
    /// # Errors
    /// If it cannot be reached, or is not there.
    pub async fn find(project: &Project, stage: Option<&str>, account: &Account) -> Result<Deployment> {
        match stage {
            Some(stage) => Deployment::of_stage(aws::from_environment(account).await?, stage).await,
            None => Ok(Facts::read(project)?.deployment()),
        }
    }

    /// The stage of this name, as its CloudFormation stack describes itself.
    ///
    /// # Errors
    /// If there is no such stack, or an older release deployed it.
    pub async fn of_stage(configuration: SdkConfig, stage: &str) -> Result<Deployment> {
        let name = stack_name(stage);
        let Some(stack) = stack(&configuration, stage).await? else {
            bail!(
                "there is no stack {name} in {}: is the stage {stage:?} deployed, in this region, by this account?",
                region(&configuration)
            );
        };
        let mut outputs = outputs(&stack);
        let reach = Reach {
            configuration,
            stage: stage.to_owned(),
            key: outputs.remove(KEY_OUTPUT),
            whereabouts: Whereabouts::Account,
        };
        let (deployment, missing) = Deployment::of_outputs(reach, outputs);
        if missing.is_empty() {
            return Ok(deployment);
        }
        match stack.stack_status() {
            // Outputs are there when the first deployment is through.
            Some(
                status @ (StackStatus::CreateInProgress
                | StackStatus::CreateFailed
                | StackStatus::ReviewInProgress
                | StackStatus::RollbackInProgress
                | StackStatus::RollbackComplete
                | StackStatus::RollbackFailed),
            ) => bail!(
                "the stack {name} is {status}, so there is nothing to reach yet: deploy the stage, and if that fails look at \
                 the stack's events"
            ),
            _ => bail!(
                "the stack {name} has no output {}: an older release deployed it. Deploy this one, then run this again",
                missing.join(", ")
            ),
        }
    }

    /// What a stack's outputs name, and those that it has not.
    fn of_outputs(reach: Reach, mut outputs: BTreeMap<String, String>) -> (Deployment, Vec<&'static str>) {
        let mut missing = Vec::new();
        let mut output = |name: &'static str| {
            outputs.remove(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let deployment = Deployment {
            reach,
            api_url: output("ApiUrl"),
            table: output("TableName"),
            queue_url: output("QueueUrl"),
            dead_letter_queue_url: output("DeadLetterQueueUrl"),
            bucket: output("BucketName"),
            consumer_function: output("ConsumerFunction"),
            log_groups: [
                (Function::Receiver, output("ReceiverLogGroup")),
                (Function::Consumer, output("ConsumerLogGroup")),
                (Function::Housekeeper, output("HousekeeperLogGroup")),
            ],
        };
        (deployment, missing)
    }

    /// The outputs of the template that are asked for.
    pub fn outputs() -> Vec<&'static str> {
        let reach = Reach {
            configuration: SdkConfig::builder().build(),
            stage: String::new(),
            key: None,
            whereabouts: Whereabouts::Account,
        };
        Deployment::of_outputs(reach, BTreeMap::new()).1
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

    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.configuration)
    }

    pub(crate) fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.configuration)
    }
}

impl Reach {
    /// The stage that is named, in that account, whether it is deployed or not; without a name the local stack that `cargo
    /// ops dev` has up.
    ///
    /// # Errors
    /// If there is no way to the account, or CloudFormation does not say whether the stack is there: a secret must not be
    /// encrypted with another key than the stack's.
    pub async fn find(project: &Project, stage: Option<&str>, account: &Account) -> Result<Reach> {
        match stage {
            Some(stage) => Reach::of_stage(aws::from_environment(account).await?, stage).await,
            None => Ok(Facts::read(project)?.deployment().reach),
        }
    }

    /// The stage of this name.
    ///
    /// # Errors
    /// If CloudFormation does not say whether its stack is there.
    pub async fn of_stage(configuration: SdkConfig, stage: &str) -> Result<Reach> {
        let stack = stack(&configuration, stage).await?;
        let key = stack.and_then(|stack| outputs(&stack).remove(KEY_OUTPUT));
        Ok(Reach { configuration, stage: stage.to_owned(), key, whereabouts: Whereabouts::Account })
    }

    /// What could not be done, and what may be the reason, as in `cannot read the ledger of the local stack`.
    pub fn cannot(&self, what: &str) -> String {
        match self.whereabouts {
            Whereabouts::LocalStack => format!("cannot {what} of the local stack (is `cargo ops dev` still up?)"),
            Whereabouts::Account => {
                format!("cannot {what} of stage {} (the credentials must be its account's, and allowed to)", self.stage)
            }
        }
    }

    /// Whether it is the one that `cargo ops dev` has up, of which the emulator ignores much.
    pub fn is_local_stack(&self) -> bool {
        self.whereabouts == Whereabouts::LocalStack
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

    pub(crate) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.configuration)
    }
}

impl Facts {
    /// The local stack, as operators reach it.
    pub fn deployment(&self) -> Deployment {
        Deployment {
            reach: Reach {
                configuration: self.configuration(),
                stage: STAGE.to_owned(),
                key: None,
                whereabouts: Whereabouts::LocalStack,
            },
            api_url: self.api_url.clone(),
            table: self.table.clone(),
            queue_url: self.queue_url.clone(),
            dead_letter_queue_url: self.dead_letter_queue_url.clone(),
            bucket: self.bucket.clone(),
            consumer_function: self.consumer_function.clone(),
            log_groups: [
                (Function::Receiver, self.receiver_log_group.clone()),
                (Function::Consumer, self.consumer_log_group.clone()),
                (Function::Housekeeper, self.housekeeper_log_group.clone()),
            ],
        }
    }
}

/// What a stack has that was deployed with a key of the customer's own.
const KEY_OUTPUT: &str = "KeyArn";

fn region(configuration: &SdkConfig) -> &str {
    configuration.region().map_or("no region", |region| region.as_ref())
}

/// A stage's stack, as CloudFormation describes it; `None` if there is none.
pub(crate) async fn stack(configuration: &SdkConfig, stage: &str) -> Result<Option<Stack>> {
    let name = stack_name(stage);
    let client = aws_sdk_cloudformation::Client::new(configuration);
    match client.describe_stacks().stack_name(&name).send().await {
        Ok(described) => Ok(described.stacks.unwrap_or_default().into_iter().next()),
        // CloudFormation has no other word for a stack that is not there.
        Err(error) if error.code() == Some("ValidationError") => Ok(None),
        Err(error) => Err(error).with_context(|| {
            let region = region(configuration);
            format!(
                "cannot ask CloudFormation in {region} for the stack {name}, whose outputs name its queue and ledger"
            )
        }),
    }
}

fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    let pair = |output: &aws_sdk_cloudformation::types::Output| {
        Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
    };
    stack.outputs().iter().filter_map(pair).collect()
}
