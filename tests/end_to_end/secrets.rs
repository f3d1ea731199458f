//! A secret can be changed without losing an event.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use wharf::receiver::secrets::{SecretStore, SecretsUnavailable};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::provider::{Scheme, find};
use wharf_webhook::secret::Secrets;

use crate::harness::{ENDPOINTS, Wharf, shipped_consumer};

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
    let store = SecretStore::new(ssm.clone(), "local");
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
    let client = aws_sdk_ssm::config::Builder::from(&configuration)
        .endpoint_url(format!("http://{}", wire.address))
        .retry_config(aws_smithy_types::retry::RetryConfig::disabled());
    let store = SecretStore::new(aws_sdk_ssm::Client::from_conf(client.build()), "local");
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
