//! `cargo ops providers`: whom Wharf understands.

use anyhow::{Result, bail};
use clap::Args;
use wharf_ops::catalogue;
use wharf_webhook::provider::find;

use crate::print_json;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo ops providers                  all of them
  cargo ops providers stripe           one in full, and what to write into endpoints.toml
  cargo ops providers --markdown       the README's table")]
pub struct Arguments {
    /// Shows one in full
    provider: Option<String>,
    /// Prints the README's table
    #[arg(long, conflicts_with = "provider")]
    markdown: bool,
    /// Prints JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let text = match &arguments.provider {
        Some(name) if name == "generic" => {
            bail!(
                "`generic` is what you describe in endpoints.toml: crates/webhook/src/provider/generic.rs lists its parameters"
            )
        }
        Some(name) if arguments.json => match find(name) {
            Some(provider) => return print_json(&catalogue::ProviderView::new(provider)),
            None => bail!("there is no provider {name:?}: `cargo ops providers` lists them"),
        },
        None if arguments.json => return print_json(&catalogue::views()),
        Some(name) => match find(name) {
            Some(provider) => catalogue::describe(provider),
            None => bail!("there is no provider {name:?}: `cargo ops providers` lists them"),
        },
        None if arguments.markdown => catalogue::markdown(),
        None => catalogue::lines(),
    };
    print!("{text}");
    Ok(())
}
