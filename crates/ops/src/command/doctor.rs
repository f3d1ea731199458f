//! `cargo ops doctor`: what is misconfigured, and the commands that mend it.

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use wharf_ops::deployment::Deployment;
use wharf_ops::doctor::{self, Finding, Verdict};
use wharf_ops::project::Project;
use wharf_ops::terminal;

use crate::{Target, now, print_json};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops doctor                        the local stack
  cargo ops doctor --stage production     a deployed stage
  cargo ops doctor --stage production --json | jq '.findings[] | select(.mend)'

It looks, and changes nothing; the front door counts it as one refusal. It exits with an error if anything is wrong or could not \
be checked.")]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Examination<'a> {
    stage: &'a str,
    well: bool,
    findings: &'a [Finding],
}

pub async fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let reach = arguments.target.reach(project).await?;
    let findings = match arguments.target.deployment(project).await {
        Ok(deployment) => examine(project, &deployment).await?,
        // Where the first deployment failed, the stack's state is all that there is.
        Err(error) => match doctor::state(&reach).await? {
            Some(state) if state.verdict != Verdict::Well => vec![state],
            Some(_) | None => return Err(error),
        },
    };
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (wrong, not_checked) = (count(Verdict::Wrong), count(Verdict::NotChecked));
    if arguments.json {
        print_json(&Examination { stage: &reach.stage, well: wrong + not_checked == 0, findings: &findings })?;
    } else {
        show(&findings);
    }
    if wrong + not_checked > 0 {
        bail!("{}: {wrong} wrong, {not_checked} not checked, {} to look at", reach.name(), count(Verdict::Hint));
    }
    if !arguments.json {
        println!("\n{}: nothing is wrong, {} to look at", reach.name(), count(Verdict::Hint));
    }
    Ok(())
}

async fn examine(project: &Project, deployment: &Deployment) -> Result<Vec<Finding>> {
    doctor::examine(project, deployment, now().seconds()).await
}

fn show(findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.about.len()).max().unwrap_or_default();
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Well => "ok",
            Verdict::Hint => "look",
            Verdict::Wrong => "WRONG",
            Verdict::NotChecked => "not checked",
            Verdict::Skipped => "skipped",
        };
        println!("{verdict:<11}  {:<width$}  {}", finding.about, terminal::lines(&finding.said));
        if let Some(mend) = &finding.mend {
            println!("{:<11}  {:<width$}    {mend}", "", "");
        }
    }
}
