//! The kernel's timers, read back.

use std::{collections::BTreeMap, io, time::Duration};

use super::{
    netlink::{
        Netlink,
        attribute::{attribute, attributes, long_number, string_attribute, text},
    },
    numbers::{
        DATA_VALUE, ELEMENT_EXPIRATION, ELEMENT_KEY, ELEMENT_TIMEOUT, ELEMENTS_LIST, ELEMENTS_SET,
        GET_ELEMENT, GET_SET, SET_NAME,
    },
    observe::attributes_of,
    ruleset::{
        opening::LIFT,
        rule::{Family, GATE},
    },
    transaction::in_table,
};

/// What the gate of one table holds: how long each element stays, `None` for one without an end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct FoundGate(pub(super) BTreeMap<u32, Option<Duration>>);

impl FoundGate {
    /// `None` when the table has no gate.
    pub(super) fn read(kernel: &mut Netlink, family: Family) -> io::Result<Option<Self>> {
        let mut payload = in_table(family);
        string_attribute(&mut payload, SET_NAME, GATE);
        if kernel.get(GET_SET, &payload)?.is_none() {
            return Ok(None);
        }
        let mut payload = in_table(family);
        string_attribute(&mut payload, ELEMENTS_SET, GATE);
        let mut elements = BTreeMap::new();
        for body in kernel.dump(GET_ELEMENT, &payload)? {
            let answer = attributes_of(&body);
            if attribute(answer, ELEMENTS_SET).map(text).as_deref() != Some(GATE) {
                continue;
            }
            let list = attribute(answer, ELEMENTS_LIST).unwrap_or_default();
            elements.extend(attributes(list).filter_map(|(_, element)| read_element(element)));
        }
        Ok(Some(Self(elements)))
    }

    pub(super) fn holds(&self, key: u32) -> bool {
        self.0.contains_key(&key)
    }

    /// How long the isolation still holds, if it ends by itself.
    pub(super) fn left(&self) -> Option<Duration> {
        self.0.get(&LIFT).copied().flatten()
    }
}

fn read_element(element: &[u8]) -> Option<(u32, Option<Duration>)> {
    let key = attribute(attribute(element, ELEMENT_KEY)?, DATA_VALUE)?;
    let milliseconds = |kind| attribute(element, kind).and_then(long_number);
    let left = milliseconds(ELEMENT_EXPIRATION).or_else(|| milliseconds(ELEMENT_TIMEOUT));
    Some((u32::from_ne_bytes(key.try_into().ok()?), left.map(Duration::from_millis)))
}
