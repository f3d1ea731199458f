//! `cargo ops deploy`, by the real SAM, to an emulator of AWS.

use std::time::Duration;

use wharf_ops::consumption;
use wharf_ops::deployment::Deployment;
use wharf_ops::emulator::{Emulator, Port};
use wharf_ops::package::Architecture;
use wharf_ops::probe;
use wharf_ops::project::Project;

use crate::checkout::Checkout;

const ENDPOINTS: &str = "[endpoints.github]\nprovider = \"github\"\n";
const DEPLOY: [&str; 4] = ["deploy", "--stage", "local", "--no-build"];

async fn emulator() -> Emulator {
    Emulator::start(&Project::find().unwrap(), Port::Any, &|step| println!("{step}")).await.unwrap()
}

/// The machine's own, on which the emulator runs the functions; and the other one.
fn architectures() -> [Architecture; 2] {
    match Architecture::of_this_machine().unwrap() {
        Architecture::Arm64 => [Architecture::Arm64, Architecture::X86_64],
        Architecture::X86_64 => [Architecture::X86_64, Architecture::Arm64],
    }
}

/// CloudFormation's word for the stack's state.
async fn status(emulator: &Emulator) -> Option<String> {
    let client = aws_sdk_cloudformation::Client::new(&emulator.configuration());
    let described = client.describe_stacks().stack_name("wharf-local").send().await.ok()?;
    Some(described.stacks().first()?.stack_status()?.as_str().to_owned())
}

#[tokio::test]
async fn a_stage_is_deployed_when_nothing_stands_against_it_and_its_first_event_is_a_probe() {
    let emulator = emulator().await;
    let [own, other] = architectures();
    let checkout = Checkout::new("deploy", ENDPOINTS, &format!("Architecture={other}"), &emulator.url());

    // The zips: not there, for another processor, of another endpoints.toml.
    let said = checkout.ops(&DEPLOY);
    said.has("target/lambda/receiver/bootstrap.zip: it is not there");
    said.has("Make them anew: cargo ops deploy --stage local, without --no-build");
    checkout.make_zips();
    let said = checkout.ops(&DEPLOY);
    said.has(&format!("consumer/bootstrap.zip: its bootstrap is built for {own}, and {other} is needed"));
    checkout.deploys_with(&format!("Architecture={own}"));
    let endpoints = checkout.path("endpoints.toml");
    std::fs::write(&endpoints, format!("{ENDPOINTS}events = [\"push\"]\n")).unwrap();
    checkout.ops(&DEPLOY).has("bootstrap.zip: the endpoints.toml in it is not the checkout's");
    std::fs::write(&endpoints, ENDPOINTS).unwrap();

    // The secret: what would be done is not said before it is there.
    let said = checkout.ops(&DEPLOY);
    assert!(!said.succeeded);
    said.has("account 000000000000").has("wharf-local, not there yet");
    said.has("- github would answer 503: it has no secret").has("with --without-secrets, endpoints get theirs later");
    let mend = "cargo ops secret set github --execute --stage local";
    said.has(mend);
    checkout.ops(&["deploy", "--stage", "local", "--no-build", "--without-secrets"]).has("What would be done:");
    let given = checkout.run(mend);
    assert!(given.succeeded, "{}", given.text);

    // Shown, and not done.
    let said = checkout.ops(&DEPLOY);
    assert!(said.succeeded, "{}", said.text);
    said.has("each endpoint that needs one has one").has("sam deploy --config-env local --region us-east-1");
    said.has("aws lambda invoke --function-name wharf-local-housekeeper --qualifier live");
    said.has("Nothing was changed: with --execute, it is done.");
    assert_eq!(status(&emulator).await, None);

    // Done. The address that the emulator gives the API is no name of this machine: the probe says so.
    let execute = [&DEPLOY[..], &["--parameter", "LogLevel=DEBUG", "--yes", "--execute"]].concat();
    let said = checkout.ops(&execute);
    assert!(!said.succeeded);
    assert_eq!(status(&emulator).await.as_deref(), Some("CREATE_COMPLETE"), "{}", said.text);
    said.has(&format!("--parameter-overrides Architecture={own} LogLevel=DEBUG Stage=local"));
    said.has("Successfully created/updated stack - wharf-local");
    said.has("the stage is deployed, and does not work: no probe was accepted: the front door does not answer the probe at http");

    // With an address that leads there, it lands, though nothing has changed that SAM could deploy.
    lead_to_the_front_door(&emulator).await;
    let said = checkout.ops(&execute);
    assert!(said.succeeded, "{}\n{}", said.text, emulator.last_words());
    said.has("now CREATE_COMPLETE").has("No changes to deploy");
    said.has("the front door has accepted probe-").has("local is deployed, and works: the probe _probe#probe-");

    // A consumer that is paused: the probe says where it stopped.
    let deployment = Deployment::of_stage(emulator.configuration(), "local").await.unwrap();
    consumption::pause(&deployment).await.unwrap();
    let error = probe::send(&deployment, Duration::from_secs(2), |_| {}).await.unwrap_err().to_string();
    assert!(
        error.contains("after 2 s the ledger does not know it: the consumer is paused: cargo ops resume --execute"),
        "{error}"
    );
}

/// Has the housekeeper's alias find the front door at the emulator's own address.
async fn lead_to_the_front_door(emulator: &Emulator) {
    let client = aws_sdk_cloudformation::Client::new(&emulator.configuration());
    let described = client.describe_stacks().stack_name("wharf-local").send().await.unwrap();
    let api = described.stacks()[0].outputs().iter().find(|output| output.output_key() == Some("ApiId")).unwrap();
    let url = format!("{}/_aws/execute-api/{}/$default", emulator.url(), api.output_value().unwrap());
    let (lambda, name) = (aws_sdk_lambda::Client::new(&emulator.configuration()), "wharf-local-housekeeper");
    let found = lambda.get_function_configuration().function_name(name).send().await.unwrap();
    let mut variables = found.environment().unwrap().variables().unwrap().clone();
    variables.insert("WHARF_PUBLIC_URL".to_owned(), url);
    let environment = aws_sdk_lambda::types::Environment::builder().set_variables(Some(variables)).build();
    lambda.update_function_configuration().function_name(name).environment(environment).send().await.unwrap();
    let version = lambda.publish_version().function_name(name).send().await.unwrap();
    let version = version.version().unwrap();
    lambda.update_alias().function_name(name).name("live").function_version(version).send().await.unwrap();
}

#[tokio::test]
async fn what_no_deployment_mends_is_said_before_the_build_with_what_does() {
    let emulator = emulator().await;
    let [own, _] = architectures();
    let parameters = format!("Architecture={own} Probe=off");
    let endpoints = format!("{ENDPOINTS}alarm_refusals = 50\n");
    let checkout = Checkout::new("deploy-hindered", &endpoints, &parameters, &emulator.url());
    checkout.make_zips();
    std::fs::write(checkout.path("infra/endpoint-alarms.yaml"), "Resources: {}\n").unwrap();

    // A first deployment that failed.
    let client = aws_sdk_cloudformation::Client::new(&emulator.configuration());
    let template = r#"{"Resources":{"Nested":{"Type":"AWS::CloudFormation::Stack",
        "Properties":{"TemplateURL":"https://bucket.s3.amazonaws.com/nothing-there.yaml"}}}}"#;
    client.create_stack().stack_name("wharf-local").template_body(template).send().await.unwrap();
    while status(&emulator).await.is_some_and(|status| status.ends_with("IN_PROGRESS")) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let arguments = ["deploy", "--stage", "local", "--no-build", "--without-secrets", "--yes", "--execute"];
    let said = checkout.ops(&arguments);
    assert!(!said.succeeded);
    said.has("- the stack wharf-local is ROLLBACK_COMPLETE: its first deployment failed");
    said.has(
        "- infra/endpoint-alarms.yaml does not have the alarms that endpoints.toml asks for\n    cargo ops alarms",
    );
    said.has("secrets            not looked at").has("error: nothing was deployed");
    let doctor = checkout.ops(&["doctor", "--stage", "local"]);
    assert!(!doctor.succeeded);
    doctor.has("WRONG        stack  the stack wharf-local is ROLLBACK_COMPLETE");

    for mend in ["aws cloudformation delete-stack --stack-name wharf-local", "cargo ops alarms"] {
        said.has(mend);
        let mended = checkout.run(mend);
        assert!(mended.succeeded, "{}", mended.text);
    }
    // As CI deploys: CloudFormation by a role of its own, the zips to a bucket that is there.
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&emulator.configuration()).force_path_style(true).build(),
    );
    s3.create_bucket().bucket("artifacts").send().await.unwrap();
    let as_ci = ["--execution-role", "arn:aws:iam::000000000000:role/execution", "--bucket", "artifacts"];
    let said = checkout.ops(&[&arguments[..], &as_ci].concat());
    assert!(said.succeeded, "{}\n{}", said.text, emulator.last_words());
    said.has(" --role-arn arn:aws:iam::000000000000:role/execution --no-resolve-s3 --s3-bucket artifacts --s3-prefix wharf-local");
    said.has("local is deployed. It has no probe (Probe=off)");
    let uploaded = s3.list_objects_v2().bucket("artifacts").send().await.unwrap();
    assert!(uploaded.contents().len() >= 4, "three zips and two templates: {uploaded:?}");
    assert_eq!(status(&emulator).await.as_deref(), Some("CREATE_COMPLETE"));
}

#[tokio::test]
async fn the_build_asks_for_rusts_target_and_a_stage_must_be_one_of_samconfigs() {
    let emulator = emulator().await;
    let [own, other] = architectures();
    let checkout = Checkout::new("deploy-target", ENDPOINTS, &format!("Architecture={own}"), &emulator.url());
    let said = checkout.ops(&["deploy", "--stage", "local", "--without-secrets"]);
    said.has("cargo lambda build --release ").has(" --package wharf --output-format zip");
    let unknown = checkout.ops(&["deploy", "--stage", "test"]);
    unknown.has("infra/samconfig.toml has no table [test.deploy.parameters]");
    let argument = format!("Architecture={other}");
    let said = checkout.ops(&["deploy", "--stage", "local", "--without-secrets", "--parameter", &argument]);
    // Whether it is installed depends on the machine.
    let mend = format!("rustup target add {}", other.target());
    assert!(said.succeeded || said.text.contains(&mend), "{}", said.text);
    let stage = checkout.ops(&["deploy", "--stage", "local", "--parameter", "Stage=production"]);
    stage.has("the parameter Stage cannot be another than the stage that is deployed, local");
}
