//! What `infra/samconfig.toml` says of each stage, by which `sam deploy` goes.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use toml::de::{DeTable, DeValue};

use crate::project::Project;
use crate::stack::STAGE;

/// Its path in the checkout.
pub const PATH: &str = "infra/samconfig.toml";

/// The environment of `sam deploy` that a stage is: `default` is development, so that it is what happens without a thought.
pub fn environment(stage: &str) -> &str {
    if stage == "development" { "default" } else { stage }
}

/// The template's parameters that a stage has there; of the local stack, which is not there, its name.
///
/// # Errors
/// If the file cannot be read, or has nothing of this stage.
pub fn parameters(project: &Project, stage: &str) -> Result<BTreeMap<String, String>> {
    if stage == STAGE {
        return Ok(BTreeMap::from([("Stage".to_owned(), STAGE.to_owned())]));
    }
    of_deployment(project, stage)
}

/// The template's parameters that a stage has there, by which `sam deploy` goes.
///
/// # Errors
/// If the file cannot be read, or has nothing of this stage.
pub fn of_deployment(project: &Project, stage: &str) -> Result<BTreeMap<String, String>> {
    let path = project.path(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    of_text(&text, stage)
}

fn of_text(text: &str, stage: &str) -> Result<BTreeMap<String, String>> {
    let document = DeTable::parse(text).with_context(|| format!("{PATH} is not TOML"))?;
    let environment = environment(stage);
    let keys = [environment, "deploy", "parameters"];
    let table = keys.iter().try_fold(document.get_ref(), |table, key| table.get(*key)?.get_ref().as_table());
    let Some(table) = table else {
        bail!("{PATH} has no table [{environment}.deploy.parameters], by which the stage {stage:?} would be deployed");
    };
    let mut parameters = BTreeMap::new();
    for word in words(table.get("parameter_overrides").map(|value| value.get_ref()))? {
        let (name, value) = word
            .split_once('=')
            .with_context(|| format!("{PATH}: parameter_overrides has {word:?}, which is not Name=value"))?;
        parameters.insert(name.to_owned(), value.trim_matches('"').to_owned());
    }
    match parameters.get("Stage") {
        Some(named) if named == stage => Ok(parameters),
        _ => bail!("{PATH}: [{environment}.deploy.parameters] must have Stage={stage} in its parameter_overrides"),
    }
}

/// A text with spaces between them, or a list: SAM takes both.
fn words(value: Option<&DeValue<'_>>) -> Result<Vec<String>> {
    match value {
        None => Ok(Vec::new()),
        Some(DeValue::String(text)) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Some(DeValue::Array(list)) => {
            let text = |value: &toml::Spanned<DeValue<'_>>| Some(value.get_ref().as_str()?.to_owned());
            let texts: Option<Vec<_>> = list.iter().map(text).collect();
            texts.with_context(|| format!("{PATH}: parameter_overrides must be a text, or a list of texts"))
        }
        Some(_) => bail!("{PATH}: parameter_overrides must be a text, or a list of texts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[default.deploy.parameters]
parameter_overrides = "Stage=development LogLevel=DEBUG"
[staging.deploy.parameters]
parameter_overrides = ["Stage=staging", "PublicUrl=\"https://hooks.example.com\""]
[production.deploy.parameters]
parameter_overrides = "Stage=staging"
"#;

    fn pairs(stage: &str) -> Vec<(String, String)> {
        of_text(TEXT, stage).unwrap().into_iter().collect()
    }

    #[test]
    fn the_parameters_of_a_stage_are_a_text_or_a_list_and_developments_are_the_default() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs("development"), [pair("LogLevel", "DEBUG"), pair("Stage", "development")]);
        assert_eq!(pairs("staging"), [pair("PublicUrl", "https://hooks.example.com"), pair("Stage", "staging")]);
    }

    #[test]
    fn a_stage_that_is_not_there_or_is_another_is_an_error() {
        let error = |stage| of_text(TEXT, stage).unwrap_err().to_string();
        assert!(error("test").contains("has no table [test.deploy.parameters]"), "{}", error("test"));
        assert!(error("production").contains("must have Stage=production"), "{}", error("production"));
    }
}
