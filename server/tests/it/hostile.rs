//! Whoever holds a host says what he likes. On every page it is text, it is short, and it turns no writing round.

use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{
    CommandId, Drift, EnrolmentProof, Envelope, EvidenceLimits, HostFacts, ObservedIsolation, PayloadType,
    Process, ProcessList, Telemetry,
};
use voltaxe_server::clock;

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, enrol_request},
    bundle::{TestBundle, ordered},
    until,
};

const MARKUP: &str = r#"</script><script>window.owned=1</script><img src=x onerror="owned()">'"><!--"#;
const CONTROLS: &str = "\u{202e}\u{2066}\u{200b}\u{1b}[2J\u{7}\u{85}\u{e0041}";
const LONG: usize = 1_000_000;
/// The largest page shows 256 KiB of a file, once in its HTML and once in what it starts with.
const LARGEST_PAGE_BYTES: usize = 600_000;

fn hostile() -> String {
    format!("{MARKUP}{CONTROLS}")
}

fn long() -> String {
    format!("{}{}", hostile(), "W".repeat(LONG))
}

/// As HTML: what a browser would make something of.
fn expect_inert(what: &str, text: &str) {
    for raw in ["<script>window.owned", "<img src=x", "</script><script>window"] {
        assert!(!text.contains(raw), "{what} has {raw}");
    }
    expect_plain(what, text);
}

/// What would deceive who reads it, or take long to draw.
fn expect_plain(what: &str, text: &str) {
    for control in CONTROLS.chars().filter(|control| !control.is_ascii_graphic()) {
        assert!(!text.contains(control), "{what} has {control:?} as it is");
    }
    assert!(text.len() < LARGEST_PAGE_BYTES, "{what} has {} bytes", text.len());
}

async fn page(server: &TestServer, who: &As, path: &str) -> String {
    let response = server.open(path, who).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
    text
}

/// Every text that telemetry has.
fn telemetry(agent: &TestAgent, text: &str) -> Telemetry {
    let mut telemetry = agent.telemetry(ObservedIsolation::Partial);
    let say = |place: &mut String| text.clone_into(place);
    say(&mut telemetry.agent.version);
    for place in [
        &mut telemetry.host.os,
        &mut telemetry.host.kernel,
        &mut telemetry.host.arch,
        &mut telemetry.host.boot_id,
    ] {
        say(place);
    }
    telemetry.host.addresses = vec![text.to_owned(); 3];
    telemetry.disks =
        serde_json::from_value(json!([{ "mount": text, "total_bytes": 2, "available_bytes": 1 }])).unwrap();
    telemetry.isolation.detail = Some(text.to_owned());
    telemetry.isolation.generation = Some(CommandId(1));
    telemetry.isolation.drift =
        Some(Drift { found_at: telemetry.observed_at, found: text.to_owned(), put_back: false, count: 1 });
    telemetry
}

async fn tell(server: &TestServer, agent: &TestAgent, telemetry: &Telemetry) -> u16 {
    agent.post(server, "/telemetry", &serde_json::to_value(telemetry).unwrap()).await.status
}

/// Orders something, and has the host answer it.
async fn answered(server: &TestServer, agent: &TestAgent, who: &As, command: &str, message: &str) {
    let order = json!({ "command": command, "hostname": agent.hostname, "reason": "a hostile answer" });
    let ordered = server.post("/api/commands", who, &order).await;
    assert_eq!(ordered.status, 202, "{ordered:?}");
    agent.poll(server).await;
    let id = &ordered.body["command_id"];
    let result = json!({ "command_id": id, "success": false, "message": message });
    let answer = agent.post(server, "/command/result", &result).await;
    assert!(matches!(answer.status, 200 | 413), "{answer:?}");
}

/// Asks the page's own function, and has the host answer with this.
async fn respond(server: &TestServer, agent: &TestAgent, who: &As, form: &str, data: &Value) -> String {
    let body = json!({ "endpoint_id": agent.id, "form": form, "idempotency_key": uuid::Uuid::new_v4() });
    let asking = server.post("/rpc/respond", who, &body);
    let answering = async {
        let offer = until("an order", async || agent.poll(server).await.into_iter().next()).await;
        let id = offer["id"].clone();
        let result = json!({ "command_id": id, "success": true, "message": hostile(), "data": data });
        let answer = agent.post(server, "/command/result", &result).await;
        assert_eq!(answer.status, 200, "{offer}: {answer:?}");
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.status, 200, "{answer:?}");
    // Never drawn by a browser itself: the page puts it into text nodes.
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    answer.body.to_string()
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let server = TestServer::start().await;
    for name in [MARKUP, CONTROLS, "web\u{202e}10", "a\0b", &"a".repeat(300)] {
        let string = server.enrol_string(1).await;
        let (_, request) = enrol_request(&string, name, "machine");
        let answer =
            server.post("/agent/enroll", &As::default(), &serde_json::to_value(&request).unwrap()).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!("hostname")), "{name:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_a_host_says_of_itself_and_of_its_commands_is_text_on_every_page() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Admin).await;
    for text in [hostile(), format!("{}{}", hostile(), "W".repeat(20_000)), long()] {
        let status = tell(&server, &agent, &telemetry(&agent, &text)).await;
        assert!(status == 200 || (status == 413 && text.len() > LONG), "{status}");
        for command in ["agent_check", "network_isolate"] {
            answered(&server, &agent, &who, command, &text).await;
        }
    }
    let endpoint = format!("/endpoints/{}", agent.id);
    for path in [
        "/",
        &endpoint,
        &format!("{endpoint}/processes"),
        &format!("{endpoint}/evidence"),
        "/commands",
        "/batches",
        "/schedules",
        "/enrol",
        "/webhooks",
    ] {
        let html = page(&server, &who, path).await;
        expect_inert(path, &html);
    }
    let shown = page(&server, &who, &endpoint).await;
    assert!(shown.contains(r"\u{202e}"), "what was left out is seen");
}

#[tokio::test]
async fn what_a_host_answers_is_text() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Admin).await;
    let text = format!("{}{}", hostile(), "W".repeat(10_000));
    let process = Process {
        pid: 7,
        name: text.clone(),
        exe: Some(text.clone()),
        cmdline: text.clone(),
        user: text.clone(),
        state: '<',
        ..Process::default()
    };
    let list = ProcessList {
        boot_id: "b".to_owned(),
        timestamp: clock::now(),
        processes: vec![process],
        left_out: 0,
    };
    let list = serde_json::to_value(list).unwrap();
    expect_plain("the process view", &respond(&server, &agent, &who, "action=list", &list).await);
    let preview = json!({
        "timestamp": clock::now(), "ruleset": text, "servers": [text],
        "warnings": [{ "kind": "tunnel", "message": text }],
        "sessions": [{ "user": text, "terminal": text, "from": text }],
        "connections_cut": 1, "connections_kept": 1,
    });
    expect_plain("the preview", &respond(&server, &agent, &who, "action=preview", &preview).await);
}

#[tokio::test]
async fn what_is_in_a_bundle_is_text() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Admin).await;
    let id = ordered(&server, &agent, EvidenceLimits::default()).await;
    let content = long();
    let files: [(&str, &[u8]); 2] = [("files/note", content.as_bytes()), ("files/name", b"x")];
    let bundle = TestBundle::from_places(&agent, id, &files, &hostile());
    agent.deliver(&server, id, &bundle).await;
    let evidence = format!("/endpoints/{}/evidence", agent.id);
    for place in [evidence.clone(), format!("/evidence/{id}"), format!("/evidence/{id}?file=0")] {
        let html = page(&server, &who, &place).await;
        expect_inert(&place, &html);
    }
    let shown = page(&server, &who, &format!("/evidence/{id}")).await;
    assert!(shown.contains(r"\u{202e}"), "where the file was is seen");

    // A path in it that no agent writes: the page says so, and not what it is.
    let id = ordered(&server, &agent, EvidenceLimits::default()).await;
    let path = format!("files/{MARKUP}\u{202e}");
    agent.deliver(&server, id, &TestBundle::of(&agent, id, &[(&path, b"x")])).await;
    for place in [evidence, format!("/evidence/{id}")] {
        let html = server.open(&place, &who).await.text().await.unwrap();
        expect_inert(&place, &html);
    }
}

#[tokio::test]
async fn a_host_that_waits_for_approval_says_nothing_but_text() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let string = server.enrol_string(1).await;
    let (key, _) = enrol_request(&string, "web-01", "machine");
    let proof = EnrolmentProof {
        token: string.token.clone(),
        nonce: "n".repeat(43),
        hostname: "web-01".to_owned(),
        machine_id: "other".to_owned(),
        agent_version: hostile(),
        host: HostFacts { os: hostile(), ..HostFacts::default() },
    };
    let envelope = Envelope::seal(PayloadType::EnrolmentProof, &proof, &key);
    let request = json!({ "public_key": key.public().to_base64(), "envelope": envelope });
    let answer = server.post("/agent/enroll", &As::default(), &request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let who = server.signed_in(Role::Admin).await;
    let html = page(&server, &who, "/enrol").await;
    expect_inert("/enrol", &html);
    assert!(html.contains("Waiting for approval"), "{html}");
    let id = answer_id(&html);
    let refused = server.post("/rpc/approve_endpoint", &who, &json!({ "id": id, "reason": "x" })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let approved =
        server.post("/rpc/approve_endpoint", &who, &json!({ "id": id, "reason": "installed anew" })).await;
    assert_eq!((approved.status, &approved.body["awaiting"]), (200, &json!([])), "{approved:?}");
}

/// The endpoint that the page offers to approve.
fn answer_id(html: &str) -> String {
    let at = html.find("href=\"/endpoints/ep_").expect("it is linked") + "href=\"/endpoints/".len();
    html[at..at + 35].to_owned()
}
