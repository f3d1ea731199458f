//! What a handler wants to be true together with the completion of its event: writes to DynamoDB, all of them or none.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use thiserror::Error;
use wharf_webhook::limits::{EFFECTS_BYTES_MAX, EFFECTS_MAX, RECORD_BYTES_MAX};

/// What a handler returns: writes to any table of the account, which are committed together with the completion of the
/// event, or not at all. So they happen once, however often the event arrives and whatever dies in between.
///
/// DynamoDB takes at most 99 of them, of 3.6 MB together, and no two for one item. The consumer's role must be allowed to make
/// them: `infra/template.yaml` shows where.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    writes: Vec<TransactWriteItem>,
    conditions_may_hold_later: bool,
}

/// Why effects cannot be committed, whatever is in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EffectsTooLarge {
    /// There are too many.
    #[error("the handler returned {found} effects, and a transaction takes {EFFECTS_MAX} beside the completion")]
    Number {
        /// How many.
        found: usize,
    },
    /// One item is too large.
    #[error("effect {number} puts an item of {bytes} bytes, and {RECORD_BYTES_MAX} are the most that DynamoDB takes")]
    Item {
        /// Which, counted from 1.
        number: usize,
        /// Its size, as DynamoDB counts it.
        bytes: usize,
    },
    /// Together they are too large.
    #[error("the effects have {bytes} bytes, and a transaction takes {EFFECTS_BYTES_MAX} beside the completion")]
    Total {
        /// Their size, as DynamoDB counts it.
        bytes: usize,
    },
}

/// A handler that returns nothing has no effects that Wharf could commit.
impl From<()> for Effects {
    fn from((): ()) -> Effects {
        Effects::default()
    }
}

impl Effects {
    /// None yet.
    pub fn new() -> Effects {
        Effects::default()
    }

    /// An item, as a whole.
    #[must_use]
    pub fn put(self, put: Put) -> Effects {
        self.with(TransactWriteItem::builder().put(put).build())
    }

    /// A change of an item.
    #[must_use]
    pub fn update(self, update: Update) -> Effects {
        self.with(TransactWriteItem::builder().update(update).build())
    }

    /// The end of an item.
    #[must_use]
    pub fn delete(self, delete: Delete) -> Effects {
        self.with(TransactWriteItem::builder().delete(delete).build())
    }

    /// What must be true of an item that is not changed.
    #[must_use]
    pub fn check(self, check: ConditionCheck) -> Effects {
        self.with(TransactWriteItem::builder().condition_check(check).build())
    }

    /// A condition that does not hold is a failed attempt, which is repeated: another event may make it true. Without this, the
    /// event has failed for good.
    #[must_use]
    pub fn retry_if_a_condition_fails(self) -> Effects {
        Effects { conditions_may_hold_later: true, ..self }
    }

    pub(crate) fn writes(&self) -> &[TransactWriteItem] {
        &self.writes
    }

    pub(crate) fn conditions_may_hold_later(&self) -> bool {
        self.conditions_may_hold_later
    }

    /// Whether a transaction takes so much, which is said more clearly here than by DynamoDB.
    pub(crate) fn check_size(&self) -> Result<(), EffectsTooLarge> {
        if self.writes.len() > EFFECTS_MAX {
            return Err(EffectsTooLarge::Number { found: self.writes.len() });
        }
        let mut total = 0;
        for (index, write) in self.writes.iter().enumerate() {
            let bytes = size_of_write(write);
            if write.put().is_some() && bytes > RECORD_BYTES_MAX {
                return Err(EffectsTooLarge::Item { number: index + 1, bytes });
            }
            total += bytes;
        }
        if total > EFFECTS_BYTES_MAX {
            return Err(EffectsTooLarge::Total { bytes: total });
        }
        Ok(())
    }

    fn with(mut self, write: TransactWriteItem) -> Effects {
        self.writes.push(write);
        self
    }
}

/// What a write brings along. The item that an update changes may be larger: DynamoDB alone knows.
fn size_of_write(write: &TransactWriteItem) -> usize {
    let put = write.put().map(|put| size_of_item(put.item()));
    let update = write.update().map(|update| size_of_all(&[Some(update.key()), update.expression_attribute_values()]));
    let delete = write.delete().map(|delete| size_of_all(&[Some(delete.key()), delete.expression_attribute_values()]));
    let check = write.condition_check();
    let check = check.map(|check| size_of_all(&[Some(check.key()), check.expression_attribute_values()]));
    put.or(update).or(delete).or(check).unwrap_or(0)
}

fn size_of_all(maps: &[Option<&HashMap<String, AttributeValue>>]) -> usize {
    maps.iter().flatten().map(|map| size_of_item(map)).sum()
}

fn size_of_item(item: &HashMap<String, AttributeValue>) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

/// As DynamoDB's developer guide counts ("Item sizes and formats"); a number counts with its digits, which is a little more.
#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK's enum is open; true, false and null count 1 as well")]
fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + size_of_item(map),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_of(bytes: usize) -> Put {
        Put::builder().table_name("t").item("k", AttributeValue::S("x".repeat(bytes - 1))).build().unwrap()
    }

    #[test]
    fn ninety_nine_effects_fit_beside_the_completion_and_one_more_does_not() {
        let effects = |number| (0..number).fold(Effects::new(), |effects, _| effects.put(put_of(2)));
        assert_eq!(effects(99).check_size(), Ok(()));
        let error = effects(100).check_size().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the handler returned 100 effects, and a transaction takes 99 beside the completion"
        );
    }

    #[test]
    fn an_item_of_400_kib_fits_and_one_byte_more_is_said_with_its_number() {
        assert_eq!(Effects::new().put(put_of(409_600)).check_size(), Ok(()));
        let error = Effects::new().put(put_of(10)).put(put_of(409_601)).check_size().unwrap_err();
        assert_eq!(
            error.to_string(),
            "effect 2 puts an item of 409601 bytes, and 409600 are the most that DynamoDB takes"
        );
    }

    #[test]
    fn four_mebibytes_less_the_record_fit_and_one_byte_more_does_not() {
        let nine = (0..9).fold(Effects::new(), |effects, _| effects.put(put_of(409_600)));
        assert_eq!(nine.clone().put(put_of(98_304)).check_size(), Ok(()));
        let error = nine.put(put_of(98_305)).check_size().unwrap_err();
        assert_eq!(error, EffectsTooLarge::Total { bytes: 3_784_705 });
    }

    #[test]
    fn values_count_as_dynamodb_counts_them() {
        let value = |value| size_of_value(&value);
        assert_eq!(value(AttributeValue::S("ü".into())), 2);
        assert_eq!(value(AttributeValue::Bool(true)), 1);
        assert_eq!(value(AttributeValue::L(vec![AttributeValue::Null(true), AttributeValue::S("ab".into())])), 8);
        let map = HashMap::from([("name".to_owned(), AttributeValue::S("ab".into()))]);
        assert_eq!(value(AttributeValue::M(map)), 10);
    }
}
