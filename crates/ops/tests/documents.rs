//! What the documents say is there: commands, files, tests, links, alarms, fields of the log. And what GitHub runs is pinned.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test is a failure of the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_ops::project::Project;
use wharf_ops::{endpoint_alarms, template};
use wharf_webhook::endpoints::Endpoints;

/// `cargo ops` as it was built for this run. Its path is compiled in, too, and that is another checkout's where this one is a copy.
fn wharf_ops() -> Command {
    Command::new(std::env::var_os("CARGO_BIN_EXE_wharf-ops").unwrap())
}

/// Endings of files that a document may name.
const ENDINGS: [&str; 9] = [".rs", ".toml", ".yaml", ".yml", ".md", ".json", ".txt", ".py", ".env"];
/// Fields of the log that others than Wharf's code write: CloudWatch, Lambda (`platform.*`), API Gateway.
const FIELDS_OF_AWS: [&str; 12] = [
    "@timestamp",
    "@message",
    "@logStream",
    "type",
    "level",
    "message",
    "sourceIp",
    "path",
    "status",
    "responseLatency",
    "integrationLatency",
    "integrationError",
];

fn root() -> PathBuf {
    Project::find().unwrap().root().to_owned()
}

/// The README and docs/, by their path in the checkout.
fn documents() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        paths.push(format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    assert!(paths.len() > 4, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap())).collect()
}

/// A document's text outside of fenced blocks, and the blocks with their language.
fn prose_and_blocks(text: &str) -> (String, Vec<(String, String)>) {
    let (mut prose, mut blocks, mut open) = (String::new(), Vec::new(), None::<(String, String)>);
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "a fenced block has no end");
    (prose, blocks)
}

/// What stands in backticks; a line break within is a space.
fn spans(prose: &str) -> Vec<String> {
    let paragraphs = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    paragraphs.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The words of a command, up to what a shell does with it: `a "b c" # why` is `a` and `b c`.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = command.trim();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or_else(|| panic!("{command}: a quote has no end")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        if ["<", ">", "|", "||", "&&", ";", "\\"].contains(&word) || word.starts_with('#') {
            break;
        }
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

/// Every `cargo ops …` of the documents and of GitHub's workflows, with where it stands.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    for (path, text) in documents() {
        let (prose, blocks) = prose_and_blocks(&text);
        let lines = blocks.iter().filter(|(language, _)| language == "sh").flat_map(|(_, block)| block.lines());
        let given = |line: &str| Some(words(line.split_once("cargo ops ")?.1));
        commands.extend(lines.filter_map(given).map(|arguments| (path.clone(), arguments)));
        let spans = spans(&prose).into_iter().filter(|span| !span.contains("cargo ops …"));
        for mut arguments in spans.filter_map(|span| given(&span)) {
            // A command that is only mentioned.
            if arguments.len() == 1 && arguments != ["help"] {
                arguments.push("--help".to_owned());
            }
            commands.push((path.clone(), arguments));
        }
    }
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let found = text.lines().filter_map(|line| Some(line.split_once("run: cargo ops ")?.1.to_owned()));
        commands.extend(found.map(|command| (".github/workflows".to_owned(), words(&command))));
    }
    assert!(commands.len() > 80, "{}", commands.len());
    commands
}

#[test]
fn every_command_that_a_document_shows_can_be_given() {
    let mut refused = Vec::new();
    for (path, arguments) in commands() {
        // Without a cargo it ends right after it has understood what it is to do.
        let output = wharf_ops()
            .args(&arguments)
            .env_clear()
            .env("PATH", "/nowhere")
            .env("CARGO", "/nowhere/cargo")
            .output()
            .unwrap();
        let asked_for_help = arguments.iter().any(|argument| argument == "--help" || argument == "help");
        let needs_no_checkout = arguments.first().is_some_and(|command| command == "providers" || command == "vectors");
        let understood = match output.status.code() {
            Some(0) => asked_for_help || needs_no_checkout,
            Some(1) => !asked_for_help,
            _ => false,
        };
        if !understood {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            refused.push(format!("{path}: `cargo ops {}`: {error}", arguments.join(" ")));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut count = 0;
    for (path, text) in documents() {
        let (prose, _) = prose_and_blocks(&text);
        for span in spans(&prose) {
            let is_path = span.contains('/') && !span.contains([' ', '<', '*', '{', '…', ':', '$', '@', '=']);
            let is_file = ENDINGS.iter().any(|ending| span.ends_with(ending)) || span.ends_with('/');
            if is_path && is_file && !span.starts_with(['/', '.']) && !span.starts_with("target/") && !is_in_aws(&span)
            {
                assert!(root().join(&span).exists(), "{path} names {span}");
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count}");
}

/// Whether it is a prefix in the bucket.
fn is_in_aws(span: &str) -> bool {
    ["spool/", "bodies/"].iter().any(|prefix| span.starts_with(prefix))
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let mut count = 0;
    for (path, text) in documents() {
        for span in spans(&prose_and_blocks(&text).0) {
            let Some((module, test)) = span.rsplit_once("::") else { continue };
            let is_name =
                |text: &str| text.chars().all(|char| char.is_ascii_lowercase() || char == '_' || char.is_ascii_digit());
            if !is_name(&module.replace("::", "_")) || !is_name(test) || test.split('_').count() < 4 {
                continue;
            }
            // `template::alarms::…` is in a file of the template's tests.
            let file = format!("{}.rs", module.replace("::", "/"));
            let folders = ["tests/end_to_end", "tests", "crates/ops/tests", "crates/webhook/tests"];
            let files = folders.iter().map(|folder| root().join(folder).join(&file));
            let mut files = files.filter_map(|path| fs::read_to_string(path).ok());
            let declared = format!("fn {test}(");
            assert!(files.any(|code| code.contains(&declared)), "{path} names {span}, and there is no such test");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|char| char.is_alphanumeric() || "-_ ".contains(*char))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

fn headings(text: &str) -> impl Iterator<Item = (usize, String)> {
    let (prose, _) = prose_and_blocks(text);
    let lines: Vec<String> = prose.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
    lines.into_iter().map(|line| {
        (line.chars().take_while(|char| *char == '#').count(), line.trim_start_matches('#').trim().to_owned())
    })
}

#[test]
fn every_link_between_documents_and_files_leads_somewhere() {
    let mut count = 0;
    for (path, text) in documents() {
        let (prose, _) = prose_and_blocks(&text);
        let links = prose.split("](").skip(1).filter_map(|behind| Some(behind.split_once(')')?.0.to_owned()));
        for link in links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, wanted) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target =
                if file.is_empty() { root().join(&path) } else { root().join(&path).parent().unwrap().join(file) };
            assert!(target.exists(), "{path} links to {link}, where nothing is");
            if let Some(wanted) = wanted {
                let target = fs::read_to_string(&target).unwrap();
                assert!(
                    headings(&target).any(|(_, heading)| anchor(&heading) == wanted),
                    "{path} links to {link}, a heading that is not there"
                );
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn every_alarm_has_its_section_in_the_runbook_and_every_section_its_alarm() {
    let runbook = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let (_, alarms) = runbook.split_once("\n## The alarms\n").unwrap();
    let (alarms, _) = alarms.split_once("\n## ").unwrap();
    let sections: BTreeSet<String> = headings(alarms).map(|(_, heading)| heading).collect();

    let template = template::expand(&Project::find().unwrap(), "production", &|_| {}).unwrap();
    let resources = template["Resources"].as_object().unwrap().values();
    let alarms = resources.filter(|resource| {
        ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"].contains(&resource["Type"].as_str().unwrap())
    });
    let mut names: BTreeSet<String> = BTreeSet::new();
    for alarm in alarms {
        let name = alarm["Properties"]["AlarmName"]["Fn::Sub"].as_str().unwrap();
        let name = name.strip_prefix("${AWS::StackName}-").unwrap().to_owned();
        let description = alarm["Properties"]["AlarmDescription"].as_str().unwrap();
        let section = description.split_once("Runbook: ").map(|(_, section)| section.trim_end_matches('.'));
        assert!(section.is_none_or(|section| section == name), "the alarm {name} sends to the section {section:?}");
        names.insert(name);
    }
    // And those that an endpoint asks for, which send to a section that is the same for all endpoints.
    let endpoints = "[endpoints.shop]\nprovider = \"github\"\nalarm_refusals = 5\nalarm_silence_hours = 24\n";
    let of_endpoints = endpoint_alarms::template(&Endpoints::parse(endpoints).unwrap());
    let sections_of_endpoints: Vec<_> =
        of_endpoints.split("Runbook: ").skip(1).map(|rest| rest.split_once(".\n").unwrap().0.to_owned()).collect();
    assert_eq!(sections_of_endpoints, ["endpoint-refused", "endpoint-silent"]);
    names.extend(sections_of_endpoints);
    let missing: Vec<_> = names.difference(&sections).collect();
    let beyond: Vec<_> = sections.difference(&names).collect();
    assert!(
        missing.is_empty() && beyond.is_empty(),
        "docs/runbook.md has no section {missing:?}, and sections without an alarm {beyond:?}"
    );
}

/// The code that writes the log.
fn code_of_the_functions() -> String {
    fn read(folder: &Path, code: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                read(&entry, code);
            } else {
                *code += &fs::read_to_string(&entry).unwrap();
            }
        }
    }
    let mut code = String::new();
    read(&root().join("functions"), &mut code);
    read(&root().join("crates/webhook/src"), &mut code);
    code
}

#[test]
fn every_query_asks_for_fields_and_values_that_are_logged() {
    let code = code_of_the_functions();
    let is_logged = |field: &str| {
        FIELDS_OF_AWS.contains(&field)
            || [" = ", ",", ", "].iter().any(|behind| code.contains(&format!(" {field}{behind}")))
    };
    let mut count = 0;
    for (path, text) in documents() {
        let (_, blocks) = prose_and_blocks(&text);
        for query in blocks.iter().filter(|(language, _)| language == "logs").flat_map(|(_, block)| block.split("\n\n"))
        {
            for line in query.lines().filter(|line| !line.trim().is_empty()) {
                let line = line.trim().trim_start_matches("| ");
                let (command, rest) = line.split_once(' ').unwrap();
                let quoted: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
                let outside: String = rest.split('"').step_by(2).collect();
                let fields: Vec<&str> = match command {
                    "fields" | "display" | "dedup" => outside.split(',').map(str::trim).collect(),
                    "filter" => {
                        for value in quoted {
                            // Lambda's and API Gateway's own words, and what a reader puts in.
                            let is_foreign = value.starts_with("platform.") || value.starts_with('<');
                            let is_foreign = is_foreign || ["ERROR", "429"].contains(&value);
                            let is_there = is_foreign || code.contains(&format!("\"{value}\""));
                            assert!(is_there, "{path}: no line of the log has the value {value:?}: {line}");
                        }
                        let operators = ["=", "!=", "in", "like", ">", ">=", "<"];
                        let words: Vec<&str> = outside.split_whitespace().collect();
                        words.windows(2).filter(|pair| operators.contains(&pair[1])).map(|pair| pair[0]).collect()
                    }
                    "stats" => {
                        outside.split_once(" by ").map_or(vec![], |(_, by)| by.split(',').map(str::trim).collect())
                    }
                    "sort" => vec![outside.split_whitespace().next().unwrap()],
                    "limit" => vec![],
                    other => panic!("{path}: {other} is no command that this test knows: {line}"),
                };
                for field in fields.iter().filter(|field| !field.starts_with("bin(") && **field != "times") {
                    assert!(is_logged(field), "{path}: no line of the log has the field {field:?}: {line}");
                }
            }
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}

#[test]
fn what_github_runs_is_named_by_its_commit_and_has_a_limit_and_no_right_that_it_does_not_need() {
    let folder = root().join(".github/workflows");
    let mut used = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for line in text.lines().filter(|line| line.contains("uses:") && !line.contains("uses: ./")) {
            let (action, comment) = line
                .split_once("uses: ")
                .unwrap()
                .1
                .split_once(" # v")
                .unwrap_or_else(|| panic!("{name}: {line}: which version is it?"));
            let (_, commit) = action.split_once('@').unwrap();
            assert!(
                commit.len() == 40 && commit.chars().all(|char| "0123456789abcdef".contains(char)),
                "{name}: {line}: not a commit"
            );
            assert!(comment.split('.').count() == 3, "{name}: {line}: which version is it?");
            used += 1;
        }
        assert_eq!(
            text.matches("\n    runs-on:").count(),
            text.matches("\n    timeout-minutes:").count(),
            "{name}: each job has a limit"
        );
        assert!(
            text.contains("\npermissions:\n  contents: read\n\n") || text.contains("\npermissions: {}\n"),
            "{name}: what it may do"
        );
        assert!(text.contains("\nconcurrency:\n"), "{name}: one run at a time");
        assert!(!text.contains("pull_request_target"), "{name}: a stranger's code with our rights");
        assert_eq!(
            text.matches("uses: actions/checkout@").count(),
            text.matches("persist-credentials: false").count(),
            "{name}"
        );
        assert!(!text.contains("secrets."), "{name}: credentials come by OIDC");
    }
    assert!(used >= 3, "{used}");
}
