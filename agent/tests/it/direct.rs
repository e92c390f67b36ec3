//! The direct channel, as the server and as strangers find it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use voltaxe_protocol::{
    CommandId, CommandOrder, DirectAnswer, DirectOffer, EndpointId, Envelope, Keypair, PayloadType, Problem,
    ReceiptClaims,
};

use crate::{
    agent::Host,
    gateway::{Gateway, check, isolate, restore},
    net::{HOST, NO_ANSWER_AFTER, OUTSIDE, World, eventually},
};

const DIRECT_ONLY: &str = "[stream]\nenabled = false\n[polling]\nenabled = false\n[telemetry]\ninterval_seconds = 1\n[direct]\nenabled = true\n";
/// What an answer takes at most, were the agent to use all of its own time limits.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// From the server's namespace.
fn ask(world: &World, request: &[u8]) -> (u16, String) {
    world.within("srv", || {
        let mut stream = connect();
        // Who is turned away early may not read the rest.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer")).parse().unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    })
}

fn connect() -> TcpStream {
    let address = SocketAddr::new(HOST[0].parse().unwrap(), 8082);
    let stream = eventually("the agent listens", || TcpStream::connect(address).ok());
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    stream
}

fn post(world: &World, body: &str) -> (u16, String) {
    let length = body.len();
    ask(
        world,
        format!("POST /command HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
    )
}

fn offer(world: &World, envelope: Envelope, attempt: i32) -> (u16, String) {
    post(world, &serde_json::to_string(&DirectOffer { attempt, envelope }).unwrap())
}

fn word(body: &str) -> String {
    serde_json::from_str::<Problem>(body).unwrap().word().to_owned()
}

#[test]
fn an_order_posted_directly_is_receipted_executed_and_reported() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(DIRECT_ONLY);
    host.start();
    let order = gateway.order(123, check());
    for attempt in [4, 5] {
        let (status, body) = offer(&world, gateway.seal(&order), attempt);
        assert_eq!(status, 200, "{body}");
        let DirectAnswer { receipt } = serde_json::from_str(&body).unwrap();
        let key = gateway.state().agent_key.clone().unwrap();
        let claims: ReceiptClaims = receipt.open(PayloadType::Receipt, &key).unwrap();
        let endpoint_id = EndpointId::of_key(&key);
        assert_eq!(claims, ReceiptClaims { command_id: CommandId(123), endpoint_id, attempt });
    }
    assert!(gateway.result_of(123).success);
    for line in [
        "[COMMAND DIRECT] Received 1 command(s)",
        "[COMMAND DIRECT] Executing command: agent_check",
        "Result reported for command ID 123",
    ] {
        host.wait_for_log(line);
    }
    gateway.wait_for("telemetry says where the agent listens", |state| {
        state
            .telemetry
            .last()
            .and_then(|(telemetry, _)| telemetry.agent.direct_port)
            .filter(|port| *port == 8082)
    });
    assert_eq!(host.log().matches("Executing command").count(), 1);
    assert_eq!(gateway.state().receipts, [], "the answer was the receipt");
}

#[test]
fn only_a_signed_order_for_this_endpoint_gets_a_receipt() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(DIRECT_ONLY);
    host.start();
    let order = gateway.order(1, isolate());
    let forged = Envelope::seal(PayloadType::Command, &order, &Keypair::generate());
    let stranger = EndpointId::of_key(&Keypair::generate().public());
    let foreign = gateway.seal(&CommandOrder { endpoint_id: stranger, ..order.clone() });
    for envelope in [forged, foreign, gateway.seal_cancellation(1)] {
        let (status, body) = offer(&world, envelope, 1);
        assert_eq!((status, word(&body).as_str()), (401, "envelope-not-accepted"), "{body}");
    }
    let unknown_field = r#"{"attempt":1,"envelope":{},"surprise":1}"#;
    let huge = "x".repeat(65 * 1024);
    let cases = [
        (post(&world, "{"), 400, "body-invalid"),
        (post(&world, unknown_field), 400, "body-invalid"),
        (post(&world, &huge), 413, "body-too-large"),
        (ask(&world, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 404, "not-found"),
        (ask(&world, b"GET /command HTTP/1.1\r\nhost: x\r\n\r\n"), 405, "method-not-allowed"),
    ];
    for ((status, body), expected, name) in cases {
        assert_eq!((status, word(&body).as_str()), (expected, name));
    }
    assert!(!host.log().contains("Executing"));
    assert_eq!(world.ruleset(), "");
}

#[test]
fn an_isolated_host_is_restored_by_the_direct_channel() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(DIRECT_ONLY);
    host.start();
    let (status, body) = offer(&world, gateway.seal(&gateway.order(1, isolate())), 1);
    assert_eq!(status, 200, "{body}");
    assert!(gateway.result_of(1).success);
    let address = SocketAddr::new(HOST[0].parse().unwrap(), 8082);
    let reaches = |part| world.within(part, || TcpStream::connect_timeout(&address, NO_ANSWER_AFTER).is_ok());
    assert!(reaches("srv") && !reaches("out"), "the channel is the server's alone");
    assert!(world.talk("host", OUTSIDE[0]).is_none());
    let (status, body) = offer(&world, gateway.seal(&gateway.order(2, restore())), 1);
    assert_eq!(status, 200, "{body}");
    assert!(gateway.result_of(2).success);
    assert_eq!(world.ruleset(), "");
}

#[test]
fn strangers_who_hold_connections_open_are_thrown_out() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.configure(DIRECT_ONLY);
    host.start();
    let held: Vec<TcpStream> = world.within("srv", || {
        (0..20)
            .map(|_| {
                let mut stream = connect();
                stream.write_all(b"POST /command HTTP/1.1\r\n").unwrap();
                stream
            })
            .collect()
    });
    for mut stream in held {
        let mut answer = Vec::new();
        // A reset is as good.
        let closed = stream.read_to_end(&mut answer);
        assert!(closed.is_ok() || closed.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    }
    let (status, _) = offer(&world, gateway.seal(&gateway.order(1, check())), 1);
    assert_eq!(status, 200);
}

#[test]
fn the_direct_channel_is_off_by_default_and_a_taken_port_stops_nothing() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::enrolled(&world, &gateway);
    host.start();
    gateway.wait_live();
    let address = SocketAddr::new(HOST[0].parse().unwrap(), 8082);
    assert!(world.within("srv", || TcpStream::connect(address)).is_err());
    host.stop();
    let taken = world.within("host", || std::net::TcpListener::bind("0.0.0.0:8082").unwrap());
    host.configure("[direct]\nenabled = true\n");
    host.start();
    host.wait_for_log("Cannot listen on 0.0.0.0:8082");
    gateway.wait_live();
    gateway.push(&gateway.order(1, check()));
    assert!(gateway.result_of(1).success);
    drop(taken);
}
