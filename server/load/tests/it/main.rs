//! Fleets against a gateway of the test's own: what they say verifies, and what they do they do once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod gateway;

use std::{sync::Arc, time::Duration};

use voltaxe_load::{
    agent::Verify,
    faults::Faults,
    fleet::{Channel, Counters, Fleet, FleetFile, Habits, Unwatched, enrol, signed_request},
    http::{self, Connection},
};
use voltaxe_protocol::{DirectAnswer, DirectOffer, PayloadType, ReceiptClaims};

use self::gateway::Gateway;

const SEED: u64 = 20_260_101;
const WITHIN: Duration = Duration::from_secs(60);
const BAD_LINE: Faults =
    Faults { lose: 0.2, repeat: 0.2, delay: 0.3, delay_up_to: Duration::from_millis(50) };

async fn fleet(gateway: &Gateway, size: usize, habits: Habits) -> Fleet {
    let file: FleetFile =
        enrol(&gateway.target, SEED, size, vec![gateway.enrol_string()], |_| {}).await.unwrap();
    Fleet::new(&gateway.target, &file, size, habits, Arc::new(Unwatched)).unwrap()
}

fn effects(fleet: &Fleet) -> u32 {
    fleet
        .agents()
        .iter()
        .map(|agent| {
            agent.with_ledger(|ledger| ledger.entries().map(|(_, entry)| entry.effects).sum::<u32>())
        })
        .sum()
}

#[tokio::test]
async fn every_command_takes_effect_once_over_bad_lines_and_through_reconnects() {
    let gateway = Gateway::start().await;
    let habits = Habits {
        inbound: BAD_LINE,
        outbound: BAD_LINE,
        effect_takes: Duration::from_millis(20),
        report_again_after: Duration::from_millis(100),
        stream_lasts: Some(Duration::from_millis(300)),
        ..Habits::default()
    };
    let fleet = fleet(&gateway, 20, habits).await;
    let connected = fleet.connect(0..20);
    gateway.order(&fleet, 10);
    gateway.all_reported(200, WITHIN).await;
    connected.end().await;
    assert_eq!(effects(&fleet), 200);
    assert_eq!(fleet.doubled(), []);
    assert!(Counters::read(&fleet.counters().repeats) > 0, "the line repeated nothing");
    assert_eq!(gateway.changed_results(), 0, "a result told twice is the same result");
}

#[tokio::test]
async fn ledgers_outlive_the_gateway() {
    let gateway = Gateway::start().await;
    let fleet = fleet(&gateway, 4, Habits::default()).await;
    let first = fleet.connect(0..4);
    gateway.order(&fleet, 5);
    gateway.all_reported(20, WITHIN).await;
    first.end().await;
    // It has forgotten every result and offers everything anew.
    gateway.forget_results();
    let _second = fleet.connect(0..4);
    gateway.all_reported(20, WITHIN).await;
    assert_eq!(effects(&fleet), 20);
}

#[tokio::test]
async fn polling_agents_execute_and_report_by_signed_requests() {
    let gateway = Gateway::start().await;
    let channel = Channel::Poll { every: Duration::from_millis(50), wait_seconds: 0 };
    let habits = Habits { channel, inbound: BAD_LINE, outbound: BAD_LINE, ..Habits::default() };
    let fleet = fleet(&gateway, 5, habits).await;
    let _connected = fleet.connect(0..5);
    gateway.order(&fleet, 5);
    gateway.all_reported(25, WITHIN).await;
    assert_eq!(effects(&fleet), 25);
    assert_eq!(fleet.doubled(), []);
}

#[tokio::test]
async fn the_direct_channel_is_answered_with_a_signed_receipt_and_reported_on_the_stream() {
    let gateway = Gateway::start().await;
    let fleet = fleet(&gateway, 1, Habits { direct: true, ..Habits::default() }).await;
    let _connected = fleet.connect(0..1);
    let agent = &fleet.agents()[0];
    let port = gateway.direct_port(WITHIN).await;
    let (id, envelope) = gateway.hidden_order(agent);
    let target = format!("http://127.0.0.2:{port}").parse().unwrap();
    let mut connection = Connection::open(&target, None).await.unwrap();
    let body = serde_json::to_vec(&DirectOffer { attempt: 1, envelope }).unwrap();
    let request = http::request("POST", "/command", &target, &[("content-type", "application/json")], &body);
    for _ in 0..2 {
        let answer = connection.exchange(&request).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: DirectAnswer = serde_json::from_slice(&answer.body).unwrap();
        let claims: ReceiptClaims =
            answer.receipt.open(PayloadType::Receipt, &agent.identity.key.public()).unwrap();
        assert_eq!((claims.command_id, &claims.endpoint_id), (id, &agent.identity.id));
    }
    gateway.all_reported(1, WITHIN).await;
    assert_eq!(effects(&fleet), 1);
}

#[tokio::test]
async fn every_signed_request_has_a_nonce_of_its_own() {
    let gateway = Gateway::start().await;
    let habits = Habits { verify: Verify::Always, ..Habits::default() };
    let fleet = fleet(&gateway, 1, habits).await;
    let identity = &fleet.agents()[0].identity;
    let path = format!("/command/poll?host={}", identity.hostname);
    let one = signed_request(&gateway.target, identity, "GET", &path, b"");
    let other = signed_request(&gateway.target, identity, "GET", &path, b"");
    assert_ne!(one, other);
    let mut connection = Connection::open(&gateway.target, None).await.unwrap();
    assert_eq!(connection.exchange(&one).await.unwrap().status, 200);
    assert_eq!(connection.exchange(&other).await.unwrap().status, 200);
}
