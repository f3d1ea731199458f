//! The ledger's conditional writes, on the real table, with the time as an argument.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use wharf::Delivery;
use wharf::consumer::ledger::{Claim, Ledger};
use wharf_webhook::clock::UnixSeconds;
use wharf_webhook::ledger::{Record, RecordKey, Standing, State, standing};

use crate::harness::Wharf;

const NOW: UnixSeconds = UnixSeconds(1_754_000_000);

impl Wharf {
    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.stack.facts().configuration())
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.dynamodb(), self.stack.facts().table.clone())
    }

    /// Writes a record as if the ledger had.
    async fn put(&self, delivery: &Delivery, record: &Record) {
        let key = RecordKey::new(delivery.endpoint(), delivery.key());
        let number = |value: i64| AttributeValue::N(value.to_string());
        let mut item = HashMap::from([
            ("event_key".to_owned(), AttributeValue::S(key.event)),
            ("body_key".to_owned(), AttributeValue::S(key.body)),
            ("version".to_owned(), number(1)),
            ("state".to_owned(), AttributeValue::S(record.state.word().to_owned())),
            ("owner".to_owned(), AttributeValue::S(record.owner.clone())),
            ("attempt".to_owned(), number(i64::from(record.attempt))),
            ("expires_at".to_owned(), number(record.expires_at.0)),
        ]);
        item.extend(record.lease_until.map(|until| ("lease_until".to_owned(), number(until.0))));
        item.extend(record.due_at.map(|due| ("due_at".to_owned(), number(due.0))));
        self.dynamodb().put_item().table_name(&self.stack.facts().table).set_item(Some(item)).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_late_worker_cannot_complete_what_another_has_claimed() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    let delivery = wharf.delivery("o-1");
    let granted = async |lease_until, now| match ledger.claim(&delivery, lease_until, now).await.unwrap() {
        Claim::Granted(lease) => lease,
        refused @ Claim::Refused(_) => panic!("{refused:?}"),
    };
    let late = granted(NOW.plus(35), NOW).await;
    assert_eq!(late.attempt, 1);
    // While the lease holds, nobody else gets it.
    let refused = ledger.claim(&delivery, NOW.plus(69), NOW.plus(34)).await.unwrap();
    assert_eq!(refused, Claim::Refused(Standing::Held { until: NOW.plus(35) }));
    // It ends, and another worker claims the event.
    let next = granted(NOW.plus(70), NOW.plus(35)).await;
    assert_eq!(next.attempt, 2);
    // The first one was only slow.
    assert!(!ledger.complete(&late, NOW.plus(36)).await.unwrap());
    assert_eq!(wharf.records("shop", "o-1").await[0].state, "processing");
    assert!(ledger.complete(&next, NOW.plus(37)).await.unwrap());
    // Completing again is what the SDK does when the first answer was lost.
    assert!(ledger.complete(&next, NOW.plus(37)).await.unwrap());
    assert!(!ledger.complete(&late, NOW.plus(38)).await.unwrap());
    let duplicate = ledger.claim(&delivery, NOW.plus(99), NOW.plus(64)).await.unwrap();
    assert_eq!(duplicate, Claim::Refused(Standing::Settled(State::Completed)));
}

#[tokio::test]
async fn the_condition_of_a_claim_says_what_the_rule_says_for_every_record_at_every_instant() {
    let wharf = Wharf::start().await;
    let ledger = wharf.ledger();
    let states = [State::Processing, State::Waiting, State::Completed, State::Failed, State::Parked];
    // Before, at and after the instants that a record holds.
    let around = [NOW.plus(-1), NOW, NOW.plus(1)];
    let mut open = 0;
    for (number, state) in states.into_iter().enumerate() {
        for instant in around {
            for expires_at in around {
                let delivery = wharf.delivery(&format!("o-{number}-{}-{}", instant.0 - NOW.0, expires_at.0 - NOW.0));
                let record = Record {
                    state,
                    owner: "another".into(),
                    attempt: 3,
                    lease_until: (state == State::Processing).then_some(instant),
                    due_at: (state == State::Waiting).then_some(instant),
                    expires_at,
                };
                wharf.put(&delivery, &record).await;
                let rule = standing(Some(&record), NOW);
                let claim = ledger.claim(&delivery, NOW.plus(35), NOW).await.unwrap();
                match claim {
                    Claim::Granted(lease) => {
                        open += 1;
                        assert_eq!(rule, Standing::Open, "{record:?}");
                        assert_eq!(lease.attempt, 4);
                    }
                    Claim::Refused(met) => {
                        assert_ne!(rule, Standing::Open, "{record:?}");
                        assert_eq!(met, rule, "{record:?}");
                    }
                }
            }
        }
    }
    // 30 of 45 have expired, by now or before; of the other 15 the 3 failed ones and 2 of each 3 with an instant are open.
    assert_eq!(open, 30 + 3 + 2 + 2);
}
