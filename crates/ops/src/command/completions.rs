//! `cargo ops completions`: what makes a shell complete `cargo ops`.

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use wharf_ops::project::Project;
use wharf_webhook::provider::PROVIDERS;

/// What clap's script calls us: with a hyphen in it, its script for bash is wrong. Nobody types it, as the lines below lead
/// `cargo ops` there.
const NAME: &str = "wharf_ops";
/// The stages that the template knows.
const STAGES: [&str; 3] = ["development", "staging", "production"];

#[derive(Debug, Args)]
#[command(after_help = "\
It completes commands, options, stages, providers, and the endpoints that endpoints.toml has at this moment (fish: \
behind an option only). What completes the rest of `cargo` stays.

Examples:
  source <(cargo ops completions bash)                              in this shell
  cargo ops completions bash > ~/.wharf.bash && echo '. ~/.wharf.bash' >> ~/.bashrc
  cargo ops completions zsh > ~/.wharf.zsh && echo '. ~/.wharf.zsh' >> ~/.zshrc      after its compinit
  cargo ops completions fish > ~/.config/fish/conf.d/wharf.fish")]
pub struct Arguments {
    /// Whose
    shell: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

pub fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    // Without the file there is still the rest to complete.
    let endpoints = project.endpoints().map(|endpoints| endpoints.iter().map(|one| one.name.clone()).collect());
    print!("{}", script(arguments.shell, endpoints.unwrap_or_default())?);
    Ok(())
}

fn script(shell: Kind, endpoints: Vec<String>) -> Result<String> {
    let mut command = with_values(crate::Arguments::command().name(NAME), &endpoints);
    let mut script = Vec::new();
    let (generator, bridge) = match shell {
        Kind::Bash => (Shell::Bash, BASH),
        Kind::Zsh => (Shell::Zsh, ZSH),
        Kind::Fish => (Shell::Fish, FISH),
    };
    clap_complete::generate(generator, &mut command, NAME, &mut script);
    let script = String::from_utf8(script).context("clap writes its script in UTF-8")?;
    Ok(format!("{script}\n{bridge}"))
}

/// The command, with the values that its arguments can have as far as they are known.
fn with_values(command: Command, endpoints: &[String]) -> Command {
    let command = command.mut_args(|argument| match argument.get_id().as_str() {
        "endpoint" | "of_endpoint" if !endpoints.is_empty() => {
            argument.value_parser(PossibleValuesParser::new(endpoints.iter().map(|name| name.to_owned())))
        }
        "stage" => argument.value_parser(PossibleValuesParser::new(STAGES)),
        "provider" => argument.value_parser(PossibleValuesParser::new(PROVIDERS.iter().map(|provider| provider.name))),
        _ => argument,
    });
    command.mut_subcommands(|subcommand| with_values(subcommand, endpoints))
}

/// `cargo ops …` is completed as `wharf_ops …` is, and everything else as it was before.
const BASH: &str = r#"# What completed `cargo` before; bash-completion only loads that when it is first needed.
__wharf_find_cargo() {
    [[ $(complete -p cargo 2>/dev/null) =~ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != __wharf_cargo ]] &&
        __wharf_cargo_before=${BASH_REMATCH[1]}
}

__wharf_cargo() {
    local at=1
    [[ ${COMP_WORDS[1]} == +* ]] && at=2
    if [[ ${COMP_WORDS[at]} == ops ]] && ((COMP_CWORD > at)); then
        COMP_WORDS=(wharf_ops "${COMP_WORDS[@]:at+1}")
        COMP_CWORD=$((COMP_CWORD - at))
        _wharf_ops wharf_ops "$2" "$3"
        return
    fi
    if [[ -z ${__wharf_cargo_before-} ]]; then
        local load
        for load in _comp_load _completion_loader; do
            declare -F "$load" >/dev/null && { "$load" cargo >/dev/null 2>&1; break; }
        done
        __wharf_find_cargo
        complete -F __wharf_cargo -o bashdefault -o default cargo
    fi
    if [[ -n ${__wharf_cargo_before-} ]]; then
        "$__wharf_cargo_before" "$@"
    elif ((COMP_CWORD == at)); then
        COMPREPLY=($(compgen -W ops -- "$2"))
    fi
}

__wharf_find_cargo
complete -F __wharf_cargo -o bashdefault -o default cargo
"#;

/// The completion that comes with cargo asks `_cargo-<command>` for what it does not know.
const ZSH: &str = r#"_cargo-ops() { _wharf_ops "$@" }

if (( ! $+_comps[cargo] )); then
    __wharf_cargo() {
        if [[ ${words[2]} == ops ]] && (( CURRENT > 2 )); then
            shift words
            (( CURRENT-- ))
            _wharf_ops
        elif (( CURRENT == 2 )); then
            compadd ops
        else
            _default
        fi
    }
    compdef __wharf_cargo cargo
fi
"#;

/// fish asks for what `wharf_ops …` would be completed with.
const FISH: &str = r#"function __wharf_is_ops
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = ops
end

function __wharf_complete
    set -l words (commandline -opc)
    complete -C "wharf_ops "(string join ' ' -- (string escape -- $words[3..]) (commandline -ct))
end

complete -c cargo -n '__wharf_is_ops' -f -a '(__wharf_complete)'
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_knows_the_commands_the_endpoints_and_the_stages() {
        for shell in [Kind::Bash, Kind::Zsh, Kind::Fish] {
            let script = script(shell, vec!["my-partner".to_owned()]).unwrap();
            for word in ["redrive", "production", "stage", "my-partner", "stripe"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
        }
    }
}
