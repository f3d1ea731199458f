//! The edges of what `endpoints.toml` may say.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is a failure of the test")]

use wharf_webhook::endpoints::{Endpoint, Endpoints, SecretStore};
use wharf_webhook::policy::{Deliver, OnInterrupted};
use wharf_webhook::provider::IdRating;

fn github(keys: &str) -> Result<Endpoint, String> {
    let text = format!("[endpoints.one]\nprovider = \"github\"\n{keys}\n");
    Endpoints::parse(&text)
        .map(|endpoints| endpoints.get("one").unwrap().clone())
        .map_err(|problems| problems.to_string())
}

#[test]
fn every_problem_is_a_line_with_the_files_name_and_the_line_that_it_is_in() {
    let problems = github("deliver = \"nowhere\"\nkeep_days = 0").unwrap_err();
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(lines.len(), 2, "{problems}");
    assert!(lines[0].starts_with("endpoints.toml:3: `deliver` is \"nowhere\""), "{problems}");
    assert!(lines[1].starts_with("endpoints.toml:4: `keep_days` is 0"), "{problems}");
}

#[test]
fn what_holds_without_a_key_can_be_written_out() {
    let plain = github("").unwrap();
    let written =
        "deliver = \"handler\"\non_interrupted = \"rerun\"\nsecret_store = \"parameterstore\"\nreplay_guard = false";
    assert_eq!(github(written).unwrap(), plain);
    assert_eq!((plain.policy.deliver, plain.policy.on_interrupted), (Deliver::Handler, OnInterrupted::Rerun));
    assert_eq!(plain.secret_store, SecretStore::ParameterStore);
    assert!(!plain.is_probe(), "the probe's endpoint is in no file");
}

#[test]
fn two_hundred_endpoints_are_accepted_and_one_more_is_not() {
    let of = |count: usize| {
        let text: String = (0..count).map(|number| format!("[endpoints.e{number}]\nprovider = \"github\"\n")).collect();
        Endpoints::parse(&text).map(|endpoints| endpoints.iter().count()).map_err(|problems| problems.to_string())
    };
    assert_eq!(of(200), Ok(200));
    assert!(of(201).unwrap_err().contains("there are 201 endpoints, and 200 are the most"));
}

#[test]
fn one_refusal_can_raise_an_alarm_and_none_cannot() {
    assert_eq!(github("alarm_refusals = 1").unwrap().alarms.refusals, Some(1));
    assert!(github("alarm_refusals = 0").unwrap_err().contains("`alarm_refusals` is 0, and must be 1 or more"));
}

#[test]
fn all_waits_can_be_as_long_as_the_first_and_none_can_be_shorter() {
    let retry = |longest: u32| github(&format!("retry = {{ first_seconds = 60, longest_seconds = {longest} }}"));
    assert_eq!(retry(60).unwrap().policy.retry.longest_seconds, 60);
    assert!(retry(59).unwrap_err().contains("`retry` waits 60 s first, and 59 s are its longest wait"));
}

#[test]
fn a_topic_is_an_arn_of_six_parts() {
    let topics = |arn: &str| {
        let text = format!("[endpoints.one]\nprovider = \"sns\"\ntopics = [{arn:?}]\n");
        Endpoints::parse(&text).map(|_| ()).map_err(|problems| problems.to_string())
    };
    assert_eq!(topics("arn:aws:sns:eu-central-1:123456789012:alerts"), Ok(()));
    for wrong in ["urn:aws:sns:eu-central-1:123456789012:alerts", "arn:aws:sns:eu-central-1:123456789012"] {
        assert!(topics(wrong).unwrap_err().contains("which is not a topic's"), "{wrong}");
    }
}

#[test]
fn a_signed_header_can_vary_and_one_that_tells_nothing_apart_cannot() {
    let generic = |varies: &str| {
        let signature = "signature = { header = \"X-Signature\", content = \"{header:X-Nonce}.{body}\" }";
        let text = format!("[endpoints.one]\nprovider = \"generic\"\n{signature}\nvaries = [{varies}]\n");
        Endpoints::parse(&text).map(|_| ()).map_err(|problems| problems.to_string())
    };
    assert_eq!(generic("\"json:/attempt\", \"header:X-Nonce\""), Ok(()));
    for wrong in ["header:X-Attempt", "query:attempt", "form:attempt"] {
        let problem = format!("endpoints.toml:4: `varies` has {:?}", wrong.to_lowercase());
        assert!(generic(&format!("{wrong:?}")).unwrap_err().starts_with(&problem), "{wrong}");
    }
}

#[test]
fn what_can_be_written_on_is_plain_sha_256_over_a_secret_and_a_last_body_of_any_form() {
    let can_be_extended = |signature: &str| {
        let text = format!("[endpoints.one]\nprovider = \"generic\"\nsignature = {{ header = \"x\", {signature} }}\n");
        Endpoints::parse(&text).unwrap().get("one").unwrap().terms.scheme.can_be_extended()
    };
    assert!(can_be_extended("algorithm = \"sha256\", content = \"{secret}{url}{body}\""));
    for safe in [
        "algorithm = \"sha256\", content = \"{secret}{url}{body}\", body = \"json\"",
        "algorithm = \"sha256\", content = \"{secret}{url}{body}\", body = \"json-or-form\"",
        "algorithm = \"sha256\", content = \"{body}{secret}\"",
        "content = \"{url}{body}\"",
    ] {
        assert!(!can_be_extended(safe), "{safe}");
    }
}

#[test]
fn an_endpoints_own_id_is_worth_what_the_signature_says_of_it() {
    let rated = |provider: &str, keys: &str| {
        let text = format!("[endpoints.one]\nprovider = {provider:?}\n{keys}\n");
        let scheme = Endpoints::parse(&text).unwrap().get("one").unwrap().terms.scheme;
        (scheme.event_id_rating, scheme.rating_reason)
    };
    let covered = "the endpoint names it, and the signature covers it";
    let uncovered = "the endpoint names it, and the signature does not cover it";
    let generic = |keys: &str| {
        let signature = "{ header = \"x\", content = \"{url} {body}\", body = \"json\" }";
        rated("generic", &format!("signature = {signature}\n{keys}"))
    };
    assert_eq!(generic(""), (IdRating::None, "the endpoint names none"));
    assert_eq!(generic("event_id = \"json:/id\""), (IdRating::Event, covered));
    assert_eq!(generic("event_id = \"json:/events/*/id\""), (IdRating::Events, covered));
    assert_eq!(generic("event_id = [\"json:/events/*/id\", \"header:x-id\"]"), (IdRating::Hint, uncovered));
    assert_eq!(generic("event_id = \"header:x-id\""), (IdRating::Hint, uncovered));
    assert_eq!(generic("event_id = \"query:id\""), (IdRating::Event, covered));
    // Of a body of which members are signed, these and no others are: not those that SNS signs.
    let members = |id: &str| {
        let signature = "{ json = \"/signature\", content = \"{json:/order}\" }";
        rated("generic", &format!("signature = {signature}\nevent_id = \"json:{id}\""))
    };
    assert_eq!(members("/order"), (IdRating::Event, covered));
    for other in ["/MessageId", "/TopicArn", "/id"] {
        assert_eq!(members(other), (IdRating::Hint, uncovered), "{other}");
    }
    // What is signed is the address that the file names, whatever the request's says.
    let fixed = "event_id = \"query:id\"\npublic_url = \"https://front.example/x?id=1\"";
    assert_eq!(generic(fixed), (IdRating::Hint, uncovered));
    assert_eq!(rated("github", "event_id = \"query:id\""), (IdRating::Hint, uncovered));
    // What stands behind its second question mark is not signed.
    assert_eq!(rated("contentful", "event_id = \"query:id\""), (IdRating::Hint, uncovered));
    assert_eq!(rated("contentful", "event_id = \"json:/sys/id\""), (IdRating::Event, covered));
}

#[test]
fn a_generic_endpoint_says_by_which_methods_events_come_and_no_other_does() {
    let methods = |provider: &str, methods: &str| {
        let signature = if provider == "generic" { "signature = { header = \"x\" }\n" } else { "" };
        let text = format!("[endpoints.one]\nprovider = {provider:?}\n{signature}methods = {methods}\n");
        Endpoints::parse(&text)
            .map(|endpoints| endpoints.get("one").unwrap().terms.methods.clone())
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(methods("generic", "[\"PUT\", \"DELETE\"]"), Ok(vec!["PUT", "DELETE"]));
    for (provider, named, problem) in [
        ("generic", "[]", "endpoints.toml:4: `methods` is empty, so that nothing would be let in"),
        (
            "generic",
            "[\"PUT\", \"HEAD\"]",
            "endpoints.toml:4: `methods` has \"HEAD\", and can have POST, PUT, PATCH, GET, DELETE",
        ),
        ("github", "[\"POST\"]", "endpoints.toml:3: `methods` has no meaning here: GitHub sends its events by POST"),
    ] {
        assert_eq!(methods(provider, named), Err(problem.to_owned()));
    }
}
