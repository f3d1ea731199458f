//! The stack is deployed, updated and deleted, as a release does it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_cloudformation::types::StackStatus;
use wharf_ops::deployment::stack_name;
use wharf_ops::project::Project;
use wharf_ops::stack::STAGE;

use crate::harness::{ENDPOINTS, Wharf, options, orders_consumer, shipped_consumer};

/// The version that an alias points to.
async fn live(wharf: &Wharf, function: &str) -> u32 {
    let name = format!("{}-{function}", stack_name(STAGE));
    let client = aws_sdk_lambda::Client::new(&wharf.stack.facts().configuration());
    let alias = client.get_alias().function_name(name).name("live").send().await.unwrap();
    alias.function_version().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_update_under_traffic_loses_nothing_and_does_nothing_twice() {
    let wharf = Wharf::start_with(ENDPOINTS, orders_consumer(), &[]).await;
    wharf.make_orders_table().await;
    let project = Project::find().unwrap();
    let is_over = AtomicBool::new(false);
    // A sender posts one order after another, and repeats what is not answered by a 2xx, as senders do.
    let sender = async {
        let (mut orders, mut repetitions) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            while wharf.order(&format!(r#"{{"id":"o-{orders}","type":"paid"}}"#)).await.status != 200 {
                repetitions += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            orders += 1;
        }
        (orders, repetitions)
    };
    let releases = async {
        let before = [live(&wharf, "receiver").await, live(&wharf, "consumer").await];
        // A release with new code: another endpoints.toml is in its zips.
        let released = format!("{ENDPOINTS}\n[endpoints.new]\nprovider = \"stripe\"\nalarm_refusals = 5\n");
        wharf.stack.update(&project, &options(&released, orders_consumer()), &[]).await.unwrap();
        let with_code = [live(&wharf, "receiver").await, live(&wharf, "consumer").await];
        assert!(with_code[0] > before[0] && with_code[1] > before[1], "{before:?}, {with_code:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        // And one with nothing but a parameter, of which SAM makes no new version by itself.
        wharf.stack.update(&project, &options(&released, orders_consumer()), &[("LogLevel", "DEBUG")]).await.unwrap();
        let with_parameter = [live(&wharf, "receiver").await, live(&wharf, "consumer").await];
        assert!(with_parameter[0] > with_code[0] && with_parameter[1] > with_code[1], "{with_parameter:?}");
        wharf.logged("the receiver logs at the new level", |line| line.text("level") == Some("DEBUG")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let ((orders, repetitions), ()) = tokio::join!(sender, releases);
    assert!(orders > 20, "{orders} orders are no traffic");
    wharf.until("every order is booked", async || (wharf.sold("tea").await == orders).then_some(())).await;
    wharf.queue_is_empty().await;
    assert_eq!(wharf.sold("tea").await, orders);
    // What the release brought is there.
    let url = format!("{}/webhooks/new", wharf.stack.facts().api_url);
    assert_eq!(wharf.request("POST", &url, Default::default(), b"{}").await.status, 503, "it has no secret yet");
    println!("{orders} orders during two updates, {repetitions} answers that were no 2xx");
}

#[tokio::test]
async fn a_stack_that_is_deleted_leaves_the_ledger_and_the_bodies_and_nothing_else() {
    let wharf = Wharf::start().await;
    wharf.push("d-1", b"{}").await;
    wharf.completed("github", "d-1").await;
    let configuration = wharf.stack.facts().configuration();
    let cloudformation = aws_sdk_cloudformation::Client::new(&configuration);
    let described = cloudformation.describe_stacks().stack_name(stack_name(STAGE)).send().await.unwrap();
    let id = described.stacks()[0].stack_id().unwrap().to_owned();
    cloudformation.delete_stack().stack_name(&id).send().await.unwrap();
    wharf
        .until("the stack is gone", async || {
            let described = cloudformation.describe_stacks().stack_name(&id).send().await.unwrap();
            (described.stacks()[0].stack_status() == Some(&StackStatus::DeleteComplete)).then_some(())
        })
        .await;
    // The record can still be read, and the bucket asked for.
    assert_eq!(wharf.records("github", "d-1").await.len(), 1);
    let bucket = &wharf.stack.facts().bucket;
    wharf.s3().list_objects_v2().bucket(bucket).send().await.unwrap();
    let functions = aws_sdk_lambda::Client::new(&configuration).list_functions().send().await.unwrap();
    assert!(functions.functions().is_empty(), "{functions:?}");
    let queues = wharf.sqs().list_queues().send().await.unwrap();
    assert!(queues.queue_urls().is_empty(), "{queues:?}");
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&configuration);
    let alarms = cloudwatch.describe_alarms().send().await.unwrap();
    assert!(alarms.metric_alarms().is_empty(), "{alarms:?}");
    assert!(cloudwatch.list_dashboards().send().await.unwrap().dashboard_entries().is_empty());
    let logs = aws_sdk_cloudwatchlogs::Client::new(&configuration).describe_log_groups().send().await.unwrap();
    assert!(logs.log_groups().is_empty(), "{logs:?}");
}

#[tokio::test]
async fn a_stack_with_a_domain_a_key_traces_and_a_bound_works_as_one_without() {
    let wharf = Wharf::start().await;
    let parameters = [
        ("AlarmEmail", "ops@example.com"),
        ("Architecture", "x86_64"),
        ("CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/11111111-2222-3333-4444-555555555555"),
        ("ConsumerReservedConcurrency", "10"),
        ("DomainName", "hooks.example.com"),
        ("KeyArn", "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"),
        ("Tracing", "on"),
    ];
    let shipped = options(ENDPOINTS, shipped_consumer());
    wharf.stack.update(&Project::find().unwrap(), &shipped, &parameters).await.unwrap();
    assert_eq!(wharf.push("d-1", b"{}").await.status, 200);
    wharf.completed("github", "d-1").await;
    let client = aws_sdk_lambda::Client::new(&wharf.stack.facts().configuration());
    let function = format!("{}-receiver", stack_name(STAGE));
    let function = client.get_function().function_name(function).qualifier("live").send().await.unwrap();
    let configuration = function.configuration().unwrap();
    let variables = configuration.environment().unwrap().variables().unwrap();
    assert_eq!(variables["WHARF_PUBLIC_URL"], "https://hooks.example.com");
    // What a rule of the template forbids is refused, and changes nothing.
    let refused = [("TruststoreUri", "s3://trusted/authorities.pem"), ("Probe", "off")];
    let error = wharf.stack.update(&Project::find().unwrap(), &shipped, &refused).await.unwrap_err();
    assert!(format!("{error:#}").contains("TruststoreUri needs DomainName"), "{error:#}");
}
