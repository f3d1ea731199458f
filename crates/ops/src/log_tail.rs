//! The functions' log lines as they come, from CloudWatch Logs.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::Value;
use wharf_webhook::clock::UnixMillis;

use crate::stack::Stack;

/// How far back lines are asked for again, in milliseconds: they may come late, and seen ones are passed over.
const OVERLAP_MILLIS: i64 = 10_000;

/// Which function wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// The receiver.
    Receiver,
    /// The consumer.
    Consumer,
    /// The housekeeper.
    Housekeeper,
}

/// A line of JSON that a function logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which function.
    pub function: Function,
    /// When it was written.
    pub at: UnixMillis,
    /// Its fields.
    pub fields: Value,
}

impl Line {
    /// A field, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// A field, as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.fields.get(name).and_then(Value::as_i64)
    }
}

/// Follows the logs of all functions.
#[derive(Debug)]
pub struct LogTail {
    client: aws_sdk_cloudwatchlogs::Client,
    groups: [(Function, String); 3],
    since: UnixMillis,
    seen: HashSet<(Function, String, String)>,
}

impl LogTail {
    /// Follows the logs of a stack from `since` on.
    ///
    /// # Errors
    /// If the stack has no logs.
    pub fn new(stack: &Stack, since: UnixMillis) -> Result<LogTail> {
        Ok(LogTail {
            client: aws_sdk_cloudwatchlogs::Client::new(&stack.facts().configuration()),
            groups: [
                (Function::Receiver, stack.output("ReceiverLogGroup")?.to_owned()),
                (Function::Consumer, stack.output("ConsumerLogGroup")?.to_owned()),
                (Function::Housekeeper, stack.output("HousekeeperLogGroup")?.to_owned()),
            ],
            since,
            seen: HashSet::new(),
        })
    }

    /// The JSON lines that have come since the last call, in the order in which they were written.
    ///
    /// # Errors
    /// If the logs cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut newest = self.since;
        for (function, group) in &self.groups {
            let mut pages = self
                .client
                .filter_log_events()
                .log_group_name(group)
                .start_time(self.since.0.saturating_sub(OVERLAP_MILLIS))
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                for event in page.with_context(|| format!("cannot read the log {group}"))?.events() {
                    let stream = event.log_stream_name().unwrap_or_default().to_owned();
                    let message = event.message().unwrap_or_default();
                    newest = newest.max(UnixMillis(event.timestamp().unwrap_or_default()));
                    let Ok(fields @ Value::Object(_)) = serde_json::from_str(message) else { continue };
                    if self.seen.insert((*function, stream, message.to_owned())) {
                        let at = written_at(&fields).unwrap_or(newest);
                        lines.push(Line { function: *function, at, fields });
                    }
                }
            }
        }
        self.since = newest;
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

/// When a line says that it was written: one of the log, or one that metrics are made of.
fn written_at(fields: &Value) -> Option<UnixMillis> {
    let logged = fields.get("timestamp").and_then(Value::as_str).and_then(UnixMillis::from_rfc3339);
    logged.or_else(|| fields.pointer("/_aws/Timestamp").and_then(Value::as_i64).map(UnixMillis))
}
