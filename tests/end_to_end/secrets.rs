//! A secret can be changed without losing an event.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use wharf::bodies::Bodies;
use wharf::parameters::Parameters;
use wharf::receiver::ingress::Ingress;
use wharf::receiver::opening::Openings;
use wharf::receiver::secrets::{SecretStore, SecretsUnavailable};
use wharf_webhook::clock::{UnixMillis, UnixSeconds};
use wharf_webhook::endpoints::Endpoints;
use wharf_webhook::provider::{Scheme, find};
use wharf_webhook::secret::Secrets;

use crate::harness::{ENDPOINTS, Wharf, shipped_consumer};
use crate::lambda::event;
use crate::proxy::{Call, Fault, Proxy};

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);
/// What a request has left of its sender's patience.
const TIME: Duration = Duration::from_secs(9);

fn github() -> &'static Scheme {
    find("github").unwrap().scheme(None).unwrap()
}

#[tokio::test]
async fn a_signature_made_with_the_previous_secret_is_accepted_and_the_log_says_so() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "new\nold")]).await;
    for (secret, index) in [("old", 1), ("new", 0)] {
        let headers = wharf.signed_with(secret, "github", &[("x-github-delivery", secret)], b"{}");
        assert_eq!(wharf.post("github", headers, b"{}").await.status, 200, "{secret}");
        let is_it = |line: &wharf_ops::log_tail::Line| line.text("event_id") == Some(secret);
        let line = wharf.logged("the receiver logged it", is_it).await;
        assert_eq!(line.number("secret_index"), Some(index));
    }
    let headers = wharf.signed_with("new\nold", "github", &[], b"{}");
    assert_eq!(wharf.post("github", headers, b"{}").await.status, 200, "the newest is the one to sign with");
}

#[tokio::test]
async fn an_endpoint_without_a_secret_answers_503_alone() {
    let wharf = Wharf::start().await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let answer = wharf.push("d-1", b"{}").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "30");
    assert_eq!(wharf.order(r#"{"id":"o-1","type":"paid"}"#).await.status, 200);
    let is_it = |line: &wharf_ops::log_tail::Line| line.text("reason") == Some("secrets_unavailable");
    let line = wharf.logged("the reason is logged", is_it).await;
    assert_eq!(line.text("message"), Some("there is no /wharf/local/github: `cargo ops secret set` makes it"));
}

#[tokio::test]
async fn a_secret_that_is_added_works_after_30_seconds_and_one_that_is_dropped_is_dead_after_300() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "old")]).await;
    let ssm = aws_sdk_ssm::Client::new(&wharf.stack.facts().configuration());
    let endpoint = wharf.endpoint("github");
    let secrets = |text: &str| Secrets::parse(text, github()).unwrap();
    let put = async |text: &str| {
        let call = ssm.put_parameter().name("/wharf/local/github").value(text).overwrite(true);
        call.r#type(ParameterType::SecureString).send().await.unwrap();
    };
    let store = SecretStore::new(Parameters::new(&wharf.stack.facts().configuration()), "local");
    assert_eq!(store.get(endpoint, TIME, NOW).await, Ok(secrets("old")));

    // Added. A mismatch has it fetched, but not sooner than 30 seconds after the last time.
    put("new\nold").await;
    assert_eq!(store.get_after_mismatch(endpoint, TIME, NOW.plus(29)).await, Ok(None));
    assert_eq!(store.get_after_mismatch(endpoint, TIME, NOW.plus(30)).await, Ok(Some(secrets("new\nold"))));

    // Dropped. The copy of second 30 is used until second 330.
    put("new").await;
    assert_eq!(store.get(endpoint, TIME, NOW.plus(329)).await, Ok(secrets("new\nold")));
    assert_eq!(store.get(endpoint, TIME, NOW.plus(330)).await, Ok(secrets("new")));

    // Gone. That ends the copy when it is next looked at.
    ssm.delete_parameter().name("/wharf/local/github").send().await.unwrap();
    let gone = Err(SecretsUnavailable::Absent { name: "/wharf/local/github".into() });
    assert_eq!(store.get(endpoint, TIME, NOW.plus(629)).await, Ok(secrets("new")));
    assert_eq!(store.get(endpoint, TIME, NOW.plus(630)).await, gone);

    // Back again. A missing one is looked for every 30 seconds.
    put("newest").await;
    assert_eq!(store.get(endpoint, TIME, NOW.plus(659)).await, gone);
    assert_eq!(store.get(endpoint, TIME, NOW.plus(660)).await, Ok(secrets("newest")));
}

/// The receiver's door in the test's own process, so that time is an argument.
impl Wharf {
    fn ingress(&self) -> Ingress {
        let facts = self.stack.facts();
        let parameters = Parameters::new(&facts.configuration());
        Ingress {
            endpoints: Endpoints::parse(ENDPOINTS).unwrap(),
            public_url: facts.api_url.clone(),
            secrets: SecretStore::new(parameters.clone(), "local"),
            openings: Openings::new(parameters, "local"),
            keys: None,
            bodies: Bodies::new(&facts.configuration(), &facts.bucket),
            queue: self.queue(),
            spool: self.spool(),
            metrics: self.metrics(),
        }
    }

    async fn put_secret(&self, text: &str) {
        let ssm = aws_sdk_ssm::Client::new(&self.stack.facts().configuration());
        let call = ssm.put_parameter().name("/wharf/local/github").value(text).overwrite(true);
        call.r#type(ParameterType::SecureString).send().await.unwrap();
    }

    /// What a push is answered that its sender signs with this secret, so many seconds from now.
    async fn pushed(&self, ingress: &Ingress, secret: &str, seconds: i64) -> u16 {
        let body = format!(r#"{{"at":{seconds}}}"#);
        let headers = self.signed_with(secret, "github", &[("content-type", "application/json")], body.as_bytes());
        let request = serde_json::from_value(event("192.30.252.1", "github", &headers, body.as_bytes())).unwrap();
        ingress.receive(request, None, UnixMillis((NOW.0 + seconds) * 1000)).await.status_code
    }
}

#[tokio::test]
async fn a_rotation_as_it_is_documented_turns_no_event_away_and_one_in_the_wrong_order_is_answered_by_no_2xx() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "old")]).await;

    // Add, wait five minutes, switch at the sender, drop.
    let ingress = wharf.ingress();
    assert_eq!(wharf.pushed(&ingress, "old", 0).await, 200);
    wharf.put_secret("new\nold").await;
    for seconds in [1, 29, 150, 299] {
        assert_eq!(wharf.pushed(&ingress, "old", seconds).await, 200, "{seconds}");
    }
    for seconds in [300, 301, 400] {
        assert_eq!(wharf.pushed(&ingress, "new", seconds).await, 200, "{seconds}");
    }
    wharf.put_secret("new").await;
    for seconds in [401, 599, 601, 900] {
        assert_eq!(wharf.pushed(&ingress, "new", seconds).await, 200, "{seconds}");
    }
    assert_eq!(wharf.pushed(&ingress, "old", 901).await, 400, "what was dropped lets nobody in");

    // Switched at the sender before it was added: turned away, so that whoever tries again is let in, half a minute after it
    // was added at the latest.
    wharf.put_secret("old").await;
    let ingress = wharf.ingress();
    assert_eq!(wharf.pushed(&ingress, "old", 1000).await, 200);
    assert_eq!(wharf.pushed(&ingress, "new", 1040).await, 400);
    wharf.put_secret("new\nold").await;
    assert_eq!(wharf.pushed(&ingress, "new", 1069).await, 400, "asked 29 seconds ago");
    assert_eq!(wharf.pushed(&ingress, "new", 1070).await, 200);

    // Switched at once after it was added, without the wait: the first request has it fetched.
    wharf.put_secret("old").await;
    let ingress = wharf.ingress();
    assert_eq!(wharf.pushed(&ingress, "old", 2000).await, 200);
    wharf.put_secret("new\nold").await;
    assert_eq!(wharf.pushed(&ingress, "new", 2031).await, 200);

    // Dropped before the sender switched: turned away as soon as that is known, and never acknowledged.
    wharf.put_secret("new").await;
    assert_eq!(wharf.pushed(&ingress, "old", 2330).await, 200, "the copy of second 2031");
    assert_eq!(wharf.pushed(&ingress, "old", 2331).await, 400);
    // Put back, it is there again.
    wharf.put_secret("new\nold").await;
    assert_eq!(wharf.pushed(&ingress, "old", 2361).await, 200);
    let accepted = wharf.messages(&wharf.stack.facts().queue_url).await;
    assert!(accepted <= 21, "{accepted}");
}

#[tokio::test]
async fn a_forger_has_the_secret_fetched_twice_a_minute_and_no_more() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "right")]).await;
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let decide = move |call: &Call<'_>| {
        counted.fetch_add(usize::from(call.operation == "GetParameters"), Ordering::SeqCst);
        Fault::None
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let secrets = SecretStore::new(Parameters::new(&wharf.configuration_through(&proxy.url)), "local");
    let ingress = Ingress { secrets, ..wharf.ingress() };
    for seconds in 0..180 {
        assert_eq!(wharf.pushed(&ingress, "wrong", seconds).await, 400);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 6);
    assert_eq!(wharf.pushed(&ingress, "right", 181).await, 200);
}

#[tokio::test]
async fn while_ssm_does_not_answer_the_last_copy_serves_within_the_senders_patience() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "right")]).await;
    let hangs = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&hangs);
    let decide = move |_: &Call<'_>| {
        if is_slow.load(Ordering::SeqCst) { Fault::Slow(Duration::from_secs(60)) } else { Fault::None }
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let secrets = SecretStore::new(Parameters::new(&wharf.configuration_through(&proxy.url)), "local");
    let ingress = Ingress { secrets, ..wharf.ingress() };
    assert_eq!(wharf.pushed(&ingress, "right", 0).await, 200);
    hangs.store(true, Ordering::SeqCst);
    // The copy is too old, and nobody says what is there now.
    assert_eq!(wharf.pushed(&ingress, "right", 300).await, 200);
    assert_eq!(wharf.pushed(&ingress, "wrong", 301).await, 400);
    // It was asked just now: nobody waits for it again.
    let started = std::time::Instant::now();
    assert_eq!(wharf.pushed(&ingress, "right", 302).await, 200);
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_secret_of_secrets_manager_is_handed_over_by_ssm_and_one_that_is_denied_keeps_no_other_endpoint_waiting() {
    let endpoints =
        format!("{ENDPOINTS}\n[endpoints.vault]\nprovider = \"github\"\nsecret_store = \"secretsmanager\"\n");
    let wharf = Wharf::start().await;
    // The emulator's SSM knows of no secrets: this is what AWS's says of one, and of one that we may not have.
    let says = Arc::new(Mutex::new(Fault::Says(
        r#"{"Parameters":[{"Name":"/aws/reference/secretsmanager/wharf/local/vault","Type":"SecureString","Value":"s3cret"}]}"#,
    )));
    let said = Arc::clone(&says);
    let decide = move |call: &Call<'_>| {
        if call.body.contains("/aws/reference/") { *said.lock().unwrap() } else { Fault::None }
    };
    let (proxy, _) = Proxy::start(&wharf.stack.facts().aws_endpoint_url, decide).await;
    let configured = Endpoints::parse(&endpoints).unwrap();
    let vault = configured.get("vault").unwrap();
    let store = || SecretStore::new(Parameters::new(&wharf.configuration_through(&proxy.url)), "local");
    let first = store();
    first.fetch_all(&configured, NOW).await;
    assert_eq!(first.get(vault, TIME, NOW).await, Ok(Secrets::parse("s3cret", github()).unwrap()));

    *says.lock().unwrap() = Fault::Denied;
    let second = store();
    second.fetch_all(&configured, NOW).await;
    assert!(matches!(second.get(vault, TIME, NOW).await, Err(SecretsUnavailable::Denied { .. })));
    assert!(second.get(configured.get("github").unwrap(), TIME, NOW).await.is_ok());
    // What was handed over is dead when that ends.
    assert!(matches!(first.get(vault, TIME, NOW.plus(300)).await, Err(SecretsUnavailable::Denied { .. })));
}

/// A way to the emulator that can be cut and mended.
struct Wire {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(target: String) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Wire { address, is_cut: Arc::default(), connections: Arc::default() };
        let (is_cut, connections) = (wire.is_cut.clone(), wire.connections.clone());
        std::thread::spawn(move || {
            for incoming in listener.incoming().map(Result::unwrap) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let outgoing = TcpStream::connect(&target).unwrap();
                let both = [(&incoming, &outgoing), (&outgoing, &incoming)];
                let both = both.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()));
                // Known before anything flows, so that it can be cut as soon as anything has.
                connections.lock().unwrap().extend([incoming, outgoing]);
                for (mut from, mut to) in both {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        });
        wire
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn while_ssm_cannot_be_reached_the_last_copy_serves_and_it_is_asked_again_soon() {
    let wharf = Wharf::start_with(ENDPOINTS, shipped_consumer(), &[("github", "old")]).await;
    let configuration = wharf.stack.facts().configuration();
    let wire = Wire::to(wharf.stack.facts().aws_endpoint_url.replace("http://", ""));
    let cut = configuration
        .clone()
        .into_builder()
        .endpoint_url(format!("http://{}", wire.address))
        .retry_config(aws_smithy_types::retry::RetryConfig::disabled());
    let store = SecretStore::new(Parameters::new(&cut.build()), "local");
    let endpoint = wharf.endpoint("github");
    let secrets = |text: &str| Ok(Secrets::parse(text, github()).unwrap());

    // Without a copy there is nothing to serve: SSM is asked again after a second.
    wire.cut();
    assert!(matches!(store.get(endpoint, TIME, NOW).await, Err(SecretsUnavailable::Unreachable { .. })));
    wire.mend();
    assert!(matches!(store.get(endpoint, TIME, NOW).await, Err(SecretsUnavailable::Unreachable { .. })));
    assert_eq!(store.get(endpoint, TIME, NOW.plus(1)).await, secrets("old"));

    // The copy is due at second 301, and its secret was dropped meanwhile: one failure to ask must not give it another
    // five minutes.
    let ssm = aws_sdk_ssm::Client::new(&configuration);
    let call = ssm.put_parameter().name("/wharf/local/github").value("new").overwrite(true);
    call.r#type(ParameterType::SecureString).send().await.unwrap();
    wire.cut();
    assert_eq!(store.get(endpoint, TIME, NOW.plus(301)).await, secrets("old"));
    wire.mend();
    assert_eq!(store.get(endpoint, TIME, NOW.plus(330)).await, secrets("old"));
    assert_eq!(store.get(endpoint, TIME, NOW.plus(331)).await, secrets("new"));
}
