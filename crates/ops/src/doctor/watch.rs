//! What tells a person that something is wrong: alarms, those who hear of them, logs; and whether the housekeeper runs.

use anyhow::{Context, Result};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use wharf_webhook::limits::HOUSEKEEPER_INTERVAL_SECONDS;

use super::{Finding, Patient};
use crate::deployment::stack_name;
use crate::log_tail::Function;

/// How many alarms one request may name (CloudWatch).
const ALARMS_AT_ONCE: usize = 100;
/// How long an alarm may take until it is first judged, in seconds.
const UNJUDGED_SECONDS_MAX: i64 = 15 * 60;
/// How long the housekeeper may have been silent, in seconds: five of its runs.
const SILENCE_SECONDS_MAX: i64 = 5 * HOUSEKEEPER_INTERVAL_SECONDS;
/// The template's default of `LogRetentionDays`.
const RETENTION_DEFAULT: &str = "30";
/// What an alarm's name has that tells CodeDeploy, and no topic.
const ROLL_OUT: &str = "-roll-out-";

/// What is looked at of an alarm, of either type.
struct Alarm {
    name: String,
    actions_enabled: bool,
    actions: Vec<String>,
    state: Option<StateValue>,
    since: Option<DateTime>,
    /// With few samples, its state stays what it was: it may never be judged.
    waits_for_samples: bool,
}

impl Patient<'_> {
    pub(super) async fn alarms(&self) -> Result<Vec<Finding>> {
        let about = "alarms";
        let names = self.ids_of(&["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"]);
        let alarms = self.described(&names).await?;
        let all = || alarms.iter();
        let mut findings = Vec::new();
        let missing: Vec<_> = names.iter().filter(|name| all().all(|alarm| alarm.name != **name)).cloned().collect();
        if !missing.is_empty() {
            let said = format!("of the stack's alarms these are gone: {}", missing.join(", "));
            findings.push(Finding::wrong(about, said, self.bring_back()));
        }
        let silent: Vec<_> = all().filter(|alarm| !alarm.actions_enabled).map(|alarm| alarm.name.clone()).collect();
        if !silent.is_empty() {
            let mend = format!("aws cloudwatch enable-alarm-actions --alarm-names {}", silent.join(" "));
            findings.push(Finding::wrong(about, format!("nobody hears of these: {}", silent.join(", ")), mend));
        }
        let topics = ["AlarmTopic", "PageTopic"].map(|topic| self.id(topic).unwrap_or_default());
        let tells = |alarm: &Alarm| alarm.actions.iter().any(|action| topics.contains(&action.as_str()));
        let mute: Vec<_> = all()
            .filter(|alarm| !alarm.name.contains(ROLL_OUT) && !tells(alarm))
            .map(|alarm| alarm.name.clone())
            .collect();
        if !mute.is_empty() {
            let said = format!("these tell neither of the stack's topics: {}", mute.join(", "));
            findings.push(Finding::wrong(about, said, self.bring_back()));
        }
        if self.deployment.is_local_stack() {
            findings.push(Finding::skipped(about, "their states: nothing measures AWS's own services here"));
        } else {
            findings.extend(self.states(&alarms));
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, format!("{} are there, tell somebody, and are calm", alarms.len())));
        }
        Ok(findings)
    }

    fn states(&self, alarms: &[Alarm]) -> Vec<Finding> {
        let about = "alarms";
        let in_state = |state: StateValue| alarms.iter().filter(move |alarm| alarm.state.as_ref() == Some(&state));
        let names = |alarms: &[&Alarm]| alarms.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>().join(" ");
        let mut findings = Vec::new();
        let raised: Vec<_> = in_state(StateValue::Alarm).collect();
        if !raised.is_empty() {
            let mend = format!("cargo ops status{}", self.deployment.again());
            findings.push(Finding::hint(about, format!("these are raised: {}", names(&raised)), mend));
        }
        let is_overdue = |alarm: &&Alarm| {
            let since = alarm.since.map_or(0, |since| since.secs());
            !alarm.waits_for_samples && self.now.0 - since > UNJUDGED_SECONDS_MAX
        };
        let unjudged: Vec<_> = in_state(StateValue::InsufficientData).filter(is_overdue).collect();
        if !unjudged.is_empty() {
            let said = format!(
                "these have no data for over {} minutes, though each says what that means: do they watch what is not there? {}",
                UNJUDGED_SECONDS_MAX / 60,
                names(&unjudged)
            );
            let mend = format!("aws cloudwatch describe-alarms --alarm-names {}", names(&unjudged));
            findings.push(Finding::wrong(about, said, mend));
        }
        findings
    }

    /// Those of these names that are there.
    async fn described(&self, names: &[String]) -> Result<Vec<Alarm>> {
        let mut alarms = Vec::new();
        for some in names.chunks(ALARMS_AT_ONCE) {
            let call = self.deployment.cloudwatch().describe_alarms().set_alarm_names(Some(some.to_vec()));
            let call = call.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm).max_records(100);
            let answer = call.send().await.with_context(|| self.deployment.cannot("list the alarms"))?;
            alarms.extend(answer.metric_alarms().iter().map(|alarm| Alarm {
                name: alarm.alarm_name().unwrap_or_default().to_owned(),
                actions_enabled: alarm.actions_enabled() != Some(false),
                actions: alarm.alarm_actions().to_vec(),
                state: alarm.state_value().cloned(),
                since: alarm.state_updated_timestamp().copied(),
                waits_for_samples: alarm.evaluate_low_sample_count_percentile() == Some("ignore"),
            }));
            alarms.extend(answer.composite_alarms().iter().map(|alarm| Alarm {
                name: alarm.alarm_name().unwrap_or_default().to_owned(),
                actions_enabled: alarm.actions_enabled() != Some(false),
                actions: alarm.alarm_actions().to_vec(),
                state: alarm.state_value().cloned(),
                since: alarm.state_updated_timestamp().copied(),
                waits_for_samples: false,
            }));
        }
        Ok(alarms)
    }

    /// Whether anybody is subscribed to a topic, by its logical id, and has confirmed it.
    pub(super) async fn topic(&self, about: &str, resource: &str) -> Result<Vec<Finding>> {
        if self.deployment.is_local_stack() {
            return Ok(vec![Finding::skipped(about, "nobody is told of the local stack's alarms")]);
        }
        let topic = self.id(resource)?;
        let client = aws_sdk_sns::Client::new(&self.deployment.configuration);
        let mut pages = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
        let (mut confirmed, mut pending) = (0, Vec::new());
        while let Some(subscription) = pages.next().await {
            let subscription =
                subscription.with_context(|| self.deployment.cannot("list an alarm topic's subscribers"))?;
            match subscription.subscription_arn() {
                Some("PendingConfirmation") => pending.push(subscription.endpoint().unwrap_or_default().to_owned()),
                Some("Deleted") | None => {}
                Some(_) => confirmed += 1,
            }
        }
        let subscribe = |address: &str| {
            format!("aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {address}")
        };
        let mut findings = Vec::new();
        for address in &pending {
            let said =
                format!("{address} has not confirmed: the mail has a link. It is sent again by subscribing again");
            findings.push(Finding::wrong(about, said, subscribe(address)));
        }
        match (confirmed, resource) {
            // Who has no pager goes by the alarm topic.
            (0, "PageTopic") if pending.is_empty() => findings.push(Finding::hint(
                about,
                "nobody is woken by it: a pager or somebody's telephone belongs here",
                subscribe("YOU@EXAMPLE.COM"),
            )),
            (0, _) if pending.is_empty() => {
                findings.push(Finding::wrong(about, "nobody hears of any alarm", subscribe("YOU@EXAMPLE.COM")));
            }
            (0, _) => {}
            (1, _) => findings.push(Finding::well(about, "1 subscriber")),
            (count, _) => findings.push(Finding::well(about, format!("{count} subscribers"))),
        }
        Ok(findings)
    }

    pub(super) async fn logs(&self) -> Result<Vec<Finding>> {
        let about = "logs";
        let wanted = self.parameter("LogRetentionDays").unwrap_or(RETENTION_DEFAULT);
        let names = self.ids_of(&["AWS::Logs::LogGroup"]);
        let mut findings = Vec::new();
        for name in &names {
            let call = self.deployment.logs().describe_log_groups().log_group_name_prefix(name);
            let answer = call.send().await.with_context(|| self.deployment.cannot("look at the log groups"))?;
            let Some(group) = answer.log_groups().iter().find(|group| group.log_group_name() == Some(name)) else {
                findings.push(Finding::wrong(about, format!("there is no log group {name}"), self.bring_back()));
                continue;
            };
            let has = group.retention_in_days().map(|days| days.to_string());
            if has.as_deref() != Some(wanted) {
                let has = has.map_or_else(|| "for ever".to_owned(), |days| format!("for {days} days"));
                let said = format!("{name} is kept {has}, and was deployed with {wanted} (LogRetentionDays)");
                let mend =
                    format!("aws logs put-retention-policy --log-group-name {name} --retention-in-days {wanted}");
                findings.push(Finding::wrong(about, said, mend));
            }
        }
        if findings.is_empty() {
            findings.push(Finding::well(about, format!("{} groups, kept for {wanted} days", names.len())));
        }
        Ok(findings)
    }

    /// Whether the housekeeper's log has a line of the last minutes.
    pub(super) async fn housekeeper_runs(&self) -> Result<Vec<Finding>> {
        let about = "housekeeper's runs";
        let group = self.deployment.log_groups.iter().find(|(function, _)| *function == Function::Housekeeper);
        let (_, group) = group.context("the housekeeper has no log")?;
        let since = self.now.plus(-SILENCE_SECONDS_MAX);
        if self.created_at > since {
            return Ok(vec![Finding::skipped(about, "the stack is too young for its runs to be missed")]);
        }
        let call = self.deployment.logs().filter_log_events().log_group_name(group);
        let mut pages = call.start_time(since.0 * 1000).into_paginator().send();
        let mut has_run = false;
        // A page may be empty and another follow.
        while let (false, Some(page)) = (has_run, pages.next().await) {
            has_run = !page.with_context(|| self.deployment.cannot("read the housekeeper's log"))?.events().is_empty();
        }
        let minutes = SILENCE_SECONDS_MAX / 60;
        Ok(vec![match has_run {
            true => Finding::well(about, format!("it ran within the last {minutes} minutes")),
            false => Finding::wrong(
                about,
                format!(
                    "it has not run for {minutes} minutes, so that waiting events stay where they are: its schedule {} is off or gone, \
                     or its role is",
                    stack_name(&self.deployment.stage) + "-housekeeper"
                ),
                self.bring_back(),
            ),
        }])
    }
}
