//! The JSON on the wire, frozen: every fixture is read into its type and written back to the same JSON. A change that
//! breaks one breaks agents that are out there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use voltaxe_protocol::{
    AgentFrame, Cancellation, CommandOrder, CommandResult, CommandState, DirectAnswer, DirectOffer,
    EnrolRequest, EnrolmentGrant, HelloClaims, IsolationOutcome, ObservedIsolation, PollResponse, Problem,
    ReceiptClaims, RefusalReason, ServerFrame, Telemetry,
};

fn golden<T: Serialize + DeserializeOwned>(fixture: &str) -> T {
    let wire: Value = serde_json::from_str(fixture).unwrap();
    let value: T = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), wire);
    value
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name, ".json"))
    };
}

#[test]
fn what_agents_act_on() {
    golden::<CommandOrder>(fixture!("order_isolate"));
    golden::<CommandOrder>(fixture!("order_restore"));
    golden::<CommandOrder>(fixture!("order_agent_check"));
    golden::<Cancellation>(fixture!("cancellation"));
    golden::<PollResponse>(fixture!("poll_response"));
    golden::<PollResponse>(fixture!("poll_response_full"));
    golden::<DirectOffer>(fixture!("direct_offer"));
    golden::<EnrolmentGrant>(fixture!("enrolment_grant"));
}

#[test]
fn what_agents_say() {
    golden::<CommandResult>(fixture!("result_isolate"));
    golden::<Telemetry>(fixture!("telemetry"));
    golden::<EnrolRequest>(fixture!("enrol_request"));
    golden::<HelloClaims>(fixture!("hello_claims"));
    golden::<DirectAnswer>(fixture!("direct_answer"));
    golden::<ReceiptClaims>(fixture!("receipt_claims"));
}

#[test]
fn frames_of_the_stream() {
    for frame in golden::<Vec<Value>>(fixture!("server_frames")) {
        assert_ne!(golden::<ServerFrame>(&frame.to_string()), ServerFrame::Unknown, "{frame}");
    }
    for frame in golden::<Vec<Value>>(fixture!("agent_frames")) {
        assert_ne!(golden::<AgentFrame>(&frame.to_string()), AgentFrame::Unknown, "{frame}");
    }
}

#[test]
fn the_seeds_result_is_read_as_it_was_printed() {
    let seed = r#"{ "command_id": 123, "success": true, "message": "Network isolated successfully",
                    "data": { "isolated": true, "timestamp": "2024-01-15T10:30:00Z" } }"#;
    let result: CommandResult = serde_json::from_str(seed).unwrap();
    assert!(result.success);
    assert!(
        serde_json::from_value::<IsolationOutcome>(result.data.unwrap()).is_err(),
        "without what was observed"
    );
}

#[test]
fn unknown_words_are_read_where_nothing_is_done_by_them() {
    assert_eq!(
        serde_json::from_value::<ServerFrame>(json!({ "type": "news" })).unwrap(),
        ServerFrame::Unknown
    );
    assert_eq!(serde_json::from_value::<AgentFrame>(json!({ "type": "news" })).unwrap(), AgentFrame::Unknown);
    assert_eq!(serde_json::from_value::<CommandState>(json!("paused")).unwrap(), CommandState::Unknown);
    assert_eq!(
        serde_json::from_value::<ObservedIsolation>(json!("half")).unwrap(),
        ObservedIsolation::Unknown
    );
    assert_eq!(serde_json::from_value::<RefusalReason>(json!("tired")).unwrap(), RefusalReason::Unknown);
    let mut telemetry: Value = serde_json::from_str(fixture!("telemetry")).unwrap();
    telemetry["added_later"] = json!(1);
    assert!(serde_json::from_value::<Telemetry>(telemetry).is_ok());
}

#[test]
fn an_order_with_an_unknown_kind_or_field_is_refused() {
    let order: Value = serde_json::from_str(fixture!("order_isolate")).unwrap();
    for (pointer, value) in [
        ("/action/command", json!("format_disk")),
        ("/action/params/force", json!(true)),
        ("/action/extra", json!(1)),
        ("/extra", json!(1)),
    ] {
        let mut changed = order.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { &mut changed } else { changed.pointer_mut(parent).unwrap() };
        parent[key] = value;
        assert!(serde_json::from_value::<CommandOrder>(changed).is_err(), "{pointer}");
    }
}

#[test]
fn problems_follow_rfc_9457() {
    let problem = golden::<Problem>(fixture!("problem"));
    assert_eq!(problem.word(), "unknown-host");
}
