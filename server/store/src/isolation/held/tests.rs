use serde_json::json;
use voltaxe_protocol::{CommandId, Epoch};

use super::*;

fn change(id: i64, status: CommandState) -> CommandRecord {
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    CommandRecord {
        id: CommandId(id),
        endpoint_id: format!("ep_{}", "0".repeat(32)).parse().unwrap(),
        hostname: "web-01".to_owned(),
        command: CHANGE.to_owned(),
        params: json!({ "reason": "let ssh in", "allow_dns": true, "auto_restore_at": at }),
        status,
        created_at: at,
        delivered_at: None,
        started_at: None,
        executed_at: None,
        finished_at: Some(at),
        result: None,
        created_by: "ann".to_owned(),
        reason: "let ssh in".to_owned(),
        priority: 5,
        attempt: 1,
        channel: None,
        not_before: None,
        expires_at: at,
        epoch: Epoch(1),
        cancelled_by: None,
        cancel_requested_by: None,
        cancel_requested_at: None,
        batch_id: None,
        schedule_id: None,
    }
}

fn before() -> Known {
    Known { terms: json!({ "allow_dns": false }), change_id: Some(4), end: None }
}

#[test]
fn a_change_that_is_carried_out_leaves_nothing_to_go_back_to() {
    let executed = change(7, CommandState::Executed);
    assert_eq!(settled(Some(7), Some(before()), &executed), Settled::Stands);
}

#[test]
fn a_change_that_comes_to_nothing_gives_back_what_holds() {
    for status in [CommandState::Failed, CommandState::Expired, CommandState::Cancelled] {
        let ended = change(7, status);
        assert_eq!(settled(Some(7), Some(before()), &ended), Settled::Holds(before()));
        assert_eq!(settled(Some(8), Some(before()), &ended), Settled::AsItWas, "a newer one is on its way");
        assert_eq!(settled(Some(4), None, &ended), Settled::AsItWas, "a newer one gave it back");
    }
}

#[test]
fn of_two_changes_the_one_that_is_carried_out_holds_in_whatever_order_they_end() {
    let (older, newer) = (change(7, CommandState::Executed), change(8, CommandState::Failed));
    let of_older = known_of(&older);
    assert_eq!((&of_older.terms, of_older.end), (&json!({ "allow_dns": true }), Some(older.created_at)));
    assert_eq!(settled(Some(8), Some(before()), &older), Settled::Behind(of_older.clone()));
    assert_eq!(settled(Some(8), Some(of_older.clone()), &newer), Settled::Holds(of_older.clone()));
    assert_eq!(settled(Some(4), None, &older), Settled::Holds(of_older), "the newer one failed first");
    assert_eq!(settled(Some(8), None, &older), Settled::AsItWas, "the newer one was carried out first");
}
