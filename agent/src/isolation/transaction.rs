//! Our tables as one nftables transaction.
//!
//! The messages are those that nft itself would send for the plan's script, so `nft list ruleset` shows the same.
//! With reading back it takes 0.5 ms; through an nft that already waits for its script it takes 2.2 ms.

mod expression;

use super::{
    netlink::{
        NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, Request,
        attribute::{bytes_attribute, long_number_attribute, nested, number_attribute, string_attribute},
        nfgen,
    },
    numbers::{
        CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TYPE, DATA_VALUE, DELETE_TABLE, ELEMENT_KEY,
        ELEMENT_TIMEOUT, ELEMENTS_LIST, ELEMENTS_SET, FLAG_TIMEOUT, HOOK_DEVICE, HOOK_NUMBER, HOOK_PRIORITY,
        LIST_ELEMENT, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, NEW_SET, NEW_TABLE, POLICY_DROP, RULE_CHAIN,
        RULE_EXPRESSIONS, SET_FLAGS, SET_ID, SET_KEY_LENGTH, SET_KEY_TYPE, SET_NAME, SET_USER_DATA,
        TABLE_FLAGS, TABLE_NAME, TYPE_MARK,
    },
    ruleset::{
        Existing, PRIORITY, Plan, TABLE,
        rule::{Chain, Family, GATE, Gate, Hook, Rule, Table},
    },
};

/// Whatever we had before is replaced, or nothing changes.
pub(super) fn replace(existing: Existing, plan: &Plan) -> Vec<Request> {
    let mut requests = delete(existing);
    for table in plan.tables() {
        put(&mut requests, &table);
    }
    requests
}

pub(super) fn delete(existing: Existing) -> Vec<Request> {
    existing
        .families()
        .map(|family| Request { kind: DELETE_TABLE, flags: 0, payload: in_table(family) })
        .collect()
}

/// The start of each message about one of our tables.
pub(super) fn in_table(family: Family) -> Vec<u8> {
    let mut payload = nfgen(
        match family {
            Family::Inet => 1,
            Family::Netdev => 5,
        },
        0,
    );
    string_attribute(&mut payload, TABLE_NAME, TABLE);
    payload
}

fn put(requests: &mut Vec<Request>, table: &Table) {
    let mut payload = in_table(table.family);
    number_attribute(&mut payload, TABLE_FLAGS, 0);
    // Should somebody else have made it meanwhile, nothing is added to what they put there.
    requests.push(Request { kind: NEW_TABLE, flags: NLM_F_CREATE | NLM_F_EXCL, payload });
    requests.extend(table.gate.iter().flat_map(|gate| new_gate(table.family, gate)));
    requests.extend(table.chains.iter().map(|chain| new_chain(table.family, chain)));
    for chain in &table.chains {
        requests.extend(chain.rules.iter().map(|rule| new_rule(table.family, chain, rule)));
    }
}

fn new_gate(family: Family, gate: &Gate) -> Vec<Request> {
    let mut set = in_table(family);
    string_attribute(&mut set, SET_NAME, GATE);
    number_attribute(&mut set, SET_FLAGS, FLAG_TIMEOUT);
    number_attribute(&mut set, SET_KEY_TYPE, TYPE_MARK);
    number_attribute(&mut set, SET_KEY_LENGTH, 4);
    number_attribute(&mut set, SET_ID, 1);
    // For nft, which would show the keys with their bytes turned around: attribute 0 (byte order of keys), 4 bytes, host's.
    bytes_attribute(&mut set, SET_USER_DATA, &[&[0, 4], &1_u32.to_ne_bytes()[..]].concat());
    let mut requests = vec![Request { kind: NEW_SET, flags: NLM_F_CREATE, payload: set }];
    if !gate.elements.is_empty() {
        let mut payload = in_table(family);
        string_attribute(&mut payload, ELEMENTS_SET, GATE);
        nested(&mut payload, ELEMENTS_LIST, |payload| {
            for (key, left) in &gate.elements {
                let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                nested(payload, LIST_ELEMENT, |payload| {
                    nested(payload, ELEMENT_KEY, |payload| {
                        bytes_attribute(payload, DATA_VALUE, &key.to_ne_bytes());
                    });
                    long_number_attribute(payload, ELEMENT_TIMEOUT, milliseconds);
                });
            }
        });
        requests.push(Request { kind: NEW_ELEMENT, flags: NLM_F_CREATE, payload });
    }
    requests
}

fn new_chain(family: Family, chain: &Chain) -> Request {
    let mut payload = in_table(family);
    string_attribute(&mut payload, CHAIN_NAME, &chain.name);
    if let Some(hook) = &chain.hook {
        string_attribute(&mut payload, CHAIN_TYPE, "filter");
        number_attribute(&mut payload, CHAIN_POLICY, POLICY_DROP);
        nested(&mut payload, CHAIN_HOOK, |payload| {
            number_attribute(payload, HOOK_NUMBER, hook.number());
            number_attribute(payload, HOOK_PRIORITY, PRIORITY.cast_unsigned());
            if let Hook::Egress { device } = hook {
                string_attribute(payload, HOOK_DEVICE, device);
            }
        });
    }
    Request { kind: NEW_CHAIN, flags: NLM_F_CREATE, payload }
}

fn new_rule(family: Family, chain: &Chain, rule: &Rule) -> Request {
    let mut payload = in_table(family);
    string_attribute(&mut payload, RULE_CHAIN, &chain.name);
    nested(&mut payload, RULE_EXPRESSIONS, |payload| {
        for expression in expression::of(family, rule) {
            expression.write(payload);
        }
    });
    Request { kind: NEW_RULE, flags: NLM_F_CREATE | NLM_F_APPEND, payload }
}
