//! What a function reports in numbers: lines on standard output, from which CloudWatch makes metrics. No call is made.

use wharf_webhook::clock::UnixMillis;
use wharf_webhook::metrics::{Report, Reporter};

/// Reports for a function.
#[derive(Debug, Clone)]
pub struct Metrics {
    reporter: Reporter,
    write: fn(&str),
}

impl Metrics {
    /// For this stage, and the version of the function that Lambda says we are.
    pub fn new(stage: &str) -> Metrics {
        Metrics::written_by(stage, to_standard_output)
    }

    /// The same, each of its lines written by `write`.
    pub fn written_by(stage: &str, write: fn(&str)) -> Metrics {
        let version = std::env::var("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_else(|_| "$LATEST".to_owned());
        Metrics { reporter: Reporter { stage: stage.to_owned(), version }, write }
    }

    /// Writes reports, those of one endpoint together: a line costs, and a value does not.
    pub fn report_all(&self, reports: Vec<Report<'_>>, at: UnixMillis) {
        for report in Report::together(reports) {
            self.report(&report, at);
        }
    }

    /// Writes a report, if there is anything in it.
    pub fn report(&self, report: &Report<'_>, at: UnixMillis) {
        if let Some(line) = report.line(&self.reporter, at) {
            (self.write)(&line);
        }
    }
}

fn to_standard_output(line: &str) {
    println!("{line}");
}
