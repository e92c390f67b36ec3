//! What the kernel holds, read back and compared with what was applied.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{CommandId, IsolationObservation, ObservedIsolation};

use super::{
    gate::FoundGate,
    netlink::{
        Netlink,
        attribute::{attribute, attributes, number, text},
    },
    numbers::{
        CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, FLAG_DORMANT, GET_CHAIN, GET_RULE, GET_TABLE, HOOK_DEVICE,
        HOOK_DEVICES, HOOK_NUMBER, HOOK_PRIORITY, POLICY_DROP, RULE_CHAIN, RULE_EXPRESSIONS, TABLE_FLAGS,
        TABLE_NAME,
    },
    ruleset::{
        self, Existing, PRIORITY, Plan, TABLE,
        opening::LIFT,
        rule::{self, Family, Hook},
    },
    transaction::in_table,
};

const MOST_DETAIL_BYTES: usize = 4096;

/// One chain as the kernel shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Chain {
    /// Hook number and priority, of a base chain.
    hook: Option<(u32, i32)>,
    /// Of an egress chain; empty once the device is gone.
    devices: Vec<String>,
    policy: Option<u32>,
    rules: usize,
    /// Over the rules' expressions, in order.
    digest: String,
}

/// Our two tables as they are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Found {
    inet: Option<BTreeMap<String, Chain>>,
    netdev: Option<BTreeMap<String, Chain>>,
    inet_gate: Option<FoundGate>,
    netdev_gate: Option<FoundGate>,
    is_dormant: bool,
}

/// Digests of chains right after they were applied, for comparing later. Names carry the table's family.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Found {
    pub(super) fn read(kernel: &mut Netlink) -> io::Result<Self> {
        let mut found = Self::default();
        for family in [Family::Inet, Family::Netdev] {
            let Some(table) = kernel.get(GET_TABLE, &in_table(family))? else { continue };
            found.is_dormant |= attribute(attributes_of(&table), TABLE_FLAGS).and_then(number).unwrap_or(0)
                & FLAG_DORMANT
                != 0;
            let chains = read_chains(kernel, family)?;
            let gate = FoundGate::read(kernel, family)?;
            match family {
                Family::Inet => (found.inet, found.inet_gate) = (Some(chains), gate),
                Family::Netdev => (found.netdev, found.netdev_gate) = (Some(chains), gate),
            }
        }
        Ok(found)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.inet.is_none() && self.netdev.is_none()
    }

    /// The gates of the tables that are there.
    pub(super) fn gates(&self) -> impl Iterator<Item = (&'static str, Option<&FoundGate>)> {
        let inet = self.inet.is_some().then_some(("inet", self.inet_gate.as_ref()));
        let netdev = self.netdev.is_some().then_some(("netdev", self.netdev_gate.as_ref()));
        inet.into_iter().chain(netdev)
    }

    /// Whether the inet table's first rules accept everything, because the element that held them back is gone.
    /// `false` for rules without a gate.
    pub(super) fn is_lifted(&self, lifts: bool) -> bool {
        lifts && self.inet.is_some() && !self.inet_gate.as_ref().is_some_and(|gate| gate.holds(LIFT))
    }

    /// For rules that nobody remembers: the forward chain holds no rule but the one that asks for the timer.
    pub(super) fn seems_to_lift(&self) -> bool {
        let forward = self.inet.as_ref().and_then(|chains| chains.get("forward"));
        self.inet_gate.is_some() && forward.is_some_and(|chain| chain.rules == 1)
    }

    pub(super) fn gate(&self) -> Option<&FoundGate> {
        self.inet_gate.as_ref()
    }

    pub(super) fn existing(&self) -> Existing {
        Existing { inet: self.inet.is_some(), netdev: self.netdev.is_some() }
    }

    pub(super) fn generation(&self) -> Option<CommandId> {
        self.inet.as_ref()?.keys().find_map(|name| ruleset::generation_of_chain(name))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(
            self.all_chains()
                .map(|(family, name, chain)| (format!("{family} {name}"), chain.digest.clone()))
                .collect(),
        )
    }

    /// What of the plan is not there or not as planned; empty when all is.
    pub(super) fn differences_from_plan(&self, plan: &Plan, existing_devices: &[String]) -> Vec<String> {
        let mut differences = self.common_differences();
        if self.generation() != Some(plan.generation) {
            differences.push(format!("generation {} is not in the kernel", plan.generation));
        }
        let none = BTreeMap::new();
        let inet = self.inet.as_ref().unwrap_or(&none);
        for planned in plan.inet().base_chains() {
            differences.extend(difference(inet.get(&planned.name), planned, planned.rules.len()));
        }
        let netdev = self.netdev.as_ref().unwrap_or(&none);
        for planned in plan.netdev().base_chains() {
            let Some(Hook::Egress { device }) = &planned.hook else { continue };
            match netdev.get(&planned.name) {
                _ if !existing_devices.contains(device) => {}
                Some(chain) if !chain.devices.contains(device) => {
                    differences.push(format!("{} does not watch {device}", planned.name));
                }
                chain => differences.extend(difference(chain, planned, planned.rules.len())),
            }
        }
        for (family, gate) in self.gates() {
            if gate.is_some() != plan.has_gate() {
                let is = if gate.is_some() { "was added" } else { "is missing" };
                differences.push(format!("the timer of the table {family} {TABLE} {is}"));
            }
        }
        differences
    }

    /// What changed since the fingerprint was taken; empty when nothing did.
    pub(super) fn differences_from(
        &self,
        plan: &Plan,
        fingerprint: &Fingerprint,
        existing_devices: &[String],
    ) -> Vec<String> {
        let mut differences = self.differences_from_plan(plan, existing_devices);
        let now = self.fingerprint();
        for (name, digest) in &fingerprint.0 {
            match now.0.get(name) {
                Some(found) if found != digest => {
                    differences.push(format!("the rules of {name} were changed"))
                }
                _ => {}
            }
        }
        differences.extend(
            now.0
                .keys()
                .filter(|name| !fingerprint.0.contains_key(*name))
                .map(|name| format!("{name} was added")),
        );
        differences
    }

    /// For rules whose plan is lost: only what every plan has.
    pub(super) fn differences_from_any_plan(&self) -> Vec<String> {
        let mut differences = self.common_differences();
        let plan = Plan::new(CommandId(0), &[], &[]);
        let none = BTreeMap::new();
        let inet = self.inet.as_ref().unwrap_or(&none);
        for planned in plan.inet().base_chains() {
            let found = inet.get(&planned.name);
            differences.extend(difference(found, planned, found.map_or(0, |chain| chain.rules)));
        }
        differences
    }

    /// Without the time left, for comparing what two transactions made.
    #[cfg(test)]
    pub(super) fn timeless(mut self) -> Self {
        for gate in [&mut self.inet_gate, &mut self.netdev_gate].into_iter().flatten() {
            gate.0.values_mut().for_each(|left| *left = left.map(|_| std::time::Duration::ZERO));
        }
        self
    }

    fn common_differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.is_dormant {
            differences.push("a table is switched off (dormant)".to_owned());
        }
        if self.inet.is_none() {
            differences.push(format!("the table inet {TABLE} is missing"));
        }
        differences
    }

    fn all_chains(&self) -> impl Iterator<Item = (&'static str, &String, &Chain)> {
        let inet = self.inet.iter().flatten().map(|(name, chain)| ("inet", name, chain));
        let netdev = self.netdev.iter().flatten().map(|(name, chain)| ("netdev", name, chain));
        inet.chain(netdev)
    }
}

#[must_use]
pub(super) fn observation(
    state: ObservedIsolation,
    generation: Option<CommandId>,
    details: &[String],
    observed_at: DateTime<Utc>,
) -> IsolationObservation {
    let detail = (!details.is_empty()).then(|| joined(details));
    IsolationObservation { state, generation, observed_at, detail, ..IsolationObservation::default() }
}

/// What is wrong, in one line. Whoever changes the rules decides how much that is, so only the first of it is told: an
/// observation has to fit into frames.
pub(super) fn joined(details: &[String]) -> String {
    let mut text = String::new();
    for (index, detail) in details.iter().enumerate() {
        if text.len() + detail.len() > MOST_DETAIL_BYTES {
            text.push_str(&format!("{}{} more", if index > 0 { "; " } else { "" }, details.len() - index));
            break;
        }
        text.push_str(if index > 0 { "; " } else { "" });
        text.push_str(detail);
    }
    text
}

fn difference(found: Option<&Chain>, planned: &rule::Chain, rules: usize) -> Option<String> {
    let name = &planned.name;
    let Some(chain) = found else { return Some(format!("the chain {name} is missing")) };
    let hook = planned.hook.as_ref().map(|hook| (hook.number(), PRIORITY));
    if chain.hook != hook {
        Some(format!("the chain {name} is hooked elsewhere"))
    } else if chain.policy != Some(POLICY_DROP) {
        Some(format!("the chain {name} does not drop"))
    } else if chain.rules != rules {
        Some(format!("the chain {name} has {} rules instead of {rules}", chain.rules))
    } else {
        None
    }
}

fn read_chains(kernel: &mut Netlink, family: Family) -> io::Result<BTreeMap<String, Chain>> {
    let mut chains = BTreeMap::new();
    for body in kernel.dump(GET_CHAIN, &in_table(family))? {
        let chain = attributes_of(&body);
        if !is_ours(chain) {
            continue;
        }
        let name = attribute(chain, CHAIN_NAME).map(text).unwrap_or_default();
        let hook = attribute(chain, CHAIN_HOOK);
        let number_in = |hook, kind| attribute(hook, kind).and_then(number);
        chains.insert(
            name,
            Chain {
                hook: hook.and_then(|hook| {
                    Some((number_in(hook, HOOK_NUMBER)?, number_in(hook, HOOK_PRIORITY)?.cast_signed()))
                }),
                devices: hook.map(devices_of).unwrap_or_default(),
                policy: attribute(chain, CHAIN_POLICY).and_then(number),
                rules: 0,
                digest: String::new(),
            },
        );
    }
    let mut digests: BTreeMap<String, Sha256> = BTreeMap::new();
    for body in kernel.dump(GET_RULE, &in_table(family))? {
        let rule = attributes_of(&body);
        let name = attribute(rule, RULE_CHAIN).map(text).unwrap_or_default();
        // Kernels before 4.20 ignore the table in the request.
        let Some(chain) = is_ours(rule).then(|| chains.get_mut(&name)).flatten() else { continue };
        chain.rules += 1;
        digests.entry(name).or_default().update(attribute(rule, RULE_EXPRESSIONS).unwrap_or_default());
    }
    for (name, digest) in digests {
        if let Some(chain) = chains.get_mut(&name) {
            chain.digest = hex::encode(&digest.finalize()[..8]);
        }
    }
    Ok(chains)
}

fn devices_of(hook: &[u8]) -> Vec<String> {
    let single = attribute(hook, HOOK_DEVICE).map(text);
    let several =
        attribute(hook, HOOK_DEVICES).into_iter().flat_map(attributes).map(|(_, value)| text(value));
    let mut devices: Vec<String> = single.into_iter().chain(several).collect();
    devices.dedup();
    devices
}

fn is_ours(attributes: &[u8]) -> bool {
    attribute(attributes, TABLE_NAME).map(text).as_deref() == Some(TABLE)
}

/// Behind the `nfgenmsg`.
pub(super) fn attributes_of(body: &[u8]) -> &[u8] {
    body.get(4..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_is_told_in_a_few_words() {
        assert_eq!(joined(&["a".to_owned(), "b".to_owned()]), "a; b");
        let flood: Vec<String> =
            (0..100_000).map(|key| format!("a timer {key} was added to the table inet")).collect();
        let told = joined(&flood);
        assert!(told.len() < MOST_DETAIL_BYTES + 100 && told.starts_with(&flood[0]), "{}", told.len());
        assert!(told.ends_with(" more"), "{told}");
    }
}
