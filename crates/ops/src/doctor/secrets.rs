//! Whether each endpoint has secrets with which it works, and none was left between two hands.

use anyhow::{Context, Result};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::endpoints::{Endpoint, Endpoints};

use super::{Finding, Patient, or_not_checked};
use crate::secret_store::{self, Kept, Place};
use crate::secret_use::Use;
use crate::secrets::{self, EndpointSecrets, Origin, command_that_gives};

/// After how long a secret should be changed, though nothing is known against it.
const OLD_SECONDS: i64 = 365 * 24 * 60 * 60;

impl Patient<'_> {
    pub(super) async fn secrets(&self, endpoints: &Endpoints) -> Vec<Finding> {
        let mut findings = Vec::new();
        for secrets in secrets::list(self.deployment, endpoints.iter(), self.now).await {
            let Some(endpoint) = endpoints.get(&secrets.endpoint) else { continue };
            findings.push(secret(endpoint, &secrets, &self.deployment.again(), self.now));
            if Origin::of(endpoint) == Origin::Handshake {
                let about = about(endpoint);
                findings.extend(or_not_checked(&about, self.opening(endpoint, &about)).await);
            }
        }
        findings
    }

    /// What `cargo ops open` left behind, if it was killed.
    async fn opening(&self, endpoint: &Endpoint, about: &str) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let secrets = format!("/wharf/{}/{}", self.deployment.stage, endpoint.name);
        let read = async |name: &str| -> Result<Option<Kept>> {
            let kept = secret_store::read(&self.deployment.configuration, &Place::Parameter(name.to_owned())).await;
            kept.with_context(|| self.deployment.cannot("read a parameter"))
        };
        let (opening, offered) = (format!("{secrets}/opening"), format!("{secrets}/offered"));
        let until = read(&opening).await?;
        let until = until.and_then(|kept| kept.lines().next()?.parse().ok().map(UnixSeconds));
        let delete = |name: &str| format!("aws ssm delete-parameter --name {name}");
        match until {
            Some(until) if until >= self.now => findings.push(Finding::hint(
                about,
                format!("it is open until {until}: whoever posts first may offer a secret"),
                delete(&opening),
            )),
            Some(until) => findings.push(Finding::wrong(
                about,
                format!("it was open until {until}, and what opened it was not shut ({opening})"),
                delete(&opening),
            )),
            None => {}
        }
        let is_open = until.is_some_and(|until| until >= self.now);
        if !is_open && read(&offered).await?.is_some() {
            let said = format!("a secret was offered, and nobody took it ({offered})");
            findings.push(Finding::wrong(about, said, delete(&offered)));
        }
        Ok(findings)
    }
}

fn about(endpoint: &Endpoint) -> String {
    format!("endpoint {}", endpoint.name)
}

fn secret(endpoint: &Endpoint, secrets: &EndpointSecrets, again: &str, now: UnixSeconds) -> Finding {
    let (about, name) = (about(endpoint), &endpoint.name);
    if secrets.kept_in.is_none() {
        return Finding::well(&about, "it needs no secret");
    }
    if let Some(why) = &secrets.unreadable {
        return Finding::not_checked(&about, &anyhow::anyhow!("its secrets cannot be read: {why}"));
    }
    if let Some(problem) = &secrets.problem {
        let said = format!("it answers 503: {problem}");
        return Finding::wrong(&about, said, command_that_gives(endpoint, again));
    }
    let count = match secrets.count {
        1 => "1 secret".to_owned(),
        count => format!("{count} secrets"),
    };
    if secrets.older == Some(Use::No) {
        let said = format!("{count}, and nothing matched an older one within the last day");
        return Finding::hint(&about, said, format!("cargo ops secret drop {name} --execute{again}"));
    }
    let age = secrets.changed_at.map_or(0, |at| now.0.saturating_sub(at.0));
    if age > OLD_SECONDS {
        let said = format!("{count}, not changed for {} days", age / (24 * 60 * 60));
        let change = match Origin::of(endpoint) {
            Origin::Handshake => format!("cargo ops open {name}{again}"),
            Origin::Sender => format!("cargo ops secret add {name} --stdin --execute{again} < secret.txt"),
            Origin::Either => format!("cargo ops secret add {name} --execute{again}"),
        };
        return Finding::hint(&about, said, change);
    }
    Finding::well(&about, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

    fn found(
        count: usize,
        age_days: i64,
        change: impl FnOnce(&mut EndpointSecrets),
    ) -> (Verdict, String, Option<String>) {
        let endpoints = Endpoints::parse("[endpoints.one]\nprovider = \"github\"\n").unwrap();
        let mut secrets = EndpointSecrets {
            endpoint: "one".into(),
            provider: "github".into(),
            kept_in: Some("/wharf/staging/one".into()),
            count,
            changed_at: Some(NOW.plus(-age_days * 24 * 60 * 60)),
            problem: None,
            older: None,
            older_unknown: None,
            unreadable: None,
        };
        change(&mut secrets);
        let finding = secret(endpoints.get("one").unwrap(), &secrets, " --stage staging", NOW);
        assert_eq!(finding.about, "endpoint one");
        (finding.verdict, finding.said, finding.mend)
    }

    #[test]
    fn a_secret_is_wrong_if_it_does_not_work_and_a_hint_if_it_is_older_than_a_year() {
        assert_eq!(found(1, 365, |_| {}), (Verdict::Well, "1 secret".into(), None));
        let (verdict, said, mend) = found(1, 366, |_| {});
        assert_eq!((verdict, &*said), (Verdict::Hint, "1 secret, not changed for 366 days"));
        assert_eq!(mend.unwrap(), "cargo ops secret add one --execute --stage staging");
        let (verdict, said, mend) = found(0, 0, |secrets| secrets.problem = Some("it has no secret".into()));
        assert_eq!((verdict, &*said), (Verdict::Wrong, "it answers 503: it has no secret"));
        assert!(mend.unwrap().starts_with("cargo ops secret set one --execute --stage staging, or, "));
    }

    #[test]
    fn an_older_secret_that_nothing_uses_is_a_hint_and_one_that_cannot_be_read_is_not_judged() {
        let (verdict, _, mend) = found(2, 1, |secrets| secrets.older = Some(Use::No));
        assert_eq!(
            (verdict, mend.unwrap().as_str()),
            (Verdict::Hint, "cargo ops secret drop one --execute --stage staging")
        );
        let used = Use::Yes { last: NOW };
        assert_eq!(found(2, 1, |secrets| secrets.older = Some(used)).0, Verdict::Well);
        let (verdict, said, mend) = found(0, 0, |secrets| secrets.unreadable = Some("denied".into()));
        assert_eq!((verdict, &*said, mend), (Verdict::NotChecked, "its secrets cannot be read: denied", None));
        let (verdict, said, _) = found(0, 0, |secrets| secrets.kept_in = None);
        assert_eq!((verdict, &*said), (Verdict::Well, "it needs no secret"));
    }
}
