//! `/api/webhooks`: to a real receiver, from a real audit log.

mod receiver;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use voltaxe_orchestrator::{authority::Role, webhooks::Answer};
use voltaxe_protocol::Keypair;
use voltaxe_server::{clock, webhook_sender::Sender};
use voltaxe_store::embedded::EmbeddedPostgres;

use self::receiver::Receiver;
use crate::{
    binary::Server,
    harness::{
        As, TestServer,
        agent::TestAgent,
        postgres::{Sweeper, new_directory},
        until,
    },
};

/// Id and secret.
async fn made(server: &TestServer, admin: &As, url: &str, more: Value) -> (String, String) {
    let mut body = json!({ "name": "chat", "url": url, "events": ["command.failed", "command.executed"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = server.post("/api/webhooks", admin, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// Has a host carry out, or fail to carry out, a check.
async fn checked(server: &TestServer, agent: &TestAgent, who: &As, message: &str, success: bool) -> i64 {
    let order = json!({ "command": "agent_check", "hostname": agent.hostname, "reason": "a check" });
    let id = server.post("/api/commands", who, &order).await.body["command_id"].as_i64().unwrap();
    agent.poll(server).await;
    let result = json!({ "command_id": id, "success": success, "message": message });
    assert_eq!(agent.post(server, "/command/result", &result).await.status, 200);
    id
}

/// Until all that was committed can be read: transactions of other databases on this Postgres hold that up.
async fn settled(server: &TestServer) {
    let mut sql = server.sql().await;
    let mine: i64 =
        sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(&mut sql).await.unwrap();
    until("older transactions to end", async || {
        let oldest: i64 = sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        (oldest > mine).then_some(())
    })
    .await;
}

async fn round(server: &TestServer, now: DateTime<Utc>) -> usize {
    settled(server).await;
    step(server, now).await
}

/// What the server does all the time, once, at this time.
async fn step(server: &TestServer, now: DateTime<Utc>) -> usize {
    while server.strike.read_events(now).await.unwrap() {}
    let sender = Sender::new(&server.strike.config().webhook_allowance);
    let attempts = server.strike.due_attempts(16, now).await.unwrap();
    for attempt in &attempts {
        let answer = sender.send(attempt).await;
        server.strike.attempted(attempt, &answer, now).await.unwrap();
    }
    attempts.len()
}

async fn deliveries(server: &TestServer, admin: &As, id: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/webhooks/{id}/deliveries"), admin).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_array().unwrap().clone()
}

struct Lab {
    server: TestServer,
    agent: TestAgent,
    admin: As,
    receiver: Receiver,
}

async fn lab() -> Lab {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    Lab { agent, admin, receiver: Receiver::start().await, server }
}

#[tokio::test]
async fn what_happens_is_told_once_signed_and_only_to_who_asked() {
    let Lab { server, agent, admin, receiver } = lab().await;
    let early = checked(&server, &agent, &admin, "before", true).await;
    let (id, secret) = made(&server, &admin, &receiver.url, json!({ "events": ["command.failed"] })).await;
    let other = Receiver::start().await;
    made(&server, &admin, &other.url, json!({ "kinds": ["network_isolate"] })).await;
    checked(&server, &agent, &admin, "fine", true).await;
    let failed = checked(&server, &agent, &admin, "no disk", false).await;
    let now = clock::now();
    assert_eq!(round(&server, now).await, 1);
    assert_eq!(round(&server, now).await, 0, "once");
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].is_signed_by(&secret));
    let body = &received[0].body;
    assert_eq!((&body["type"], &body["data"]["command_id"]), (&json!("command.failed"), &json!(failed)));
    assert_eq!((&body["data"]["hostname"], &body["data"]["message"]), (&json!("web-01"), &json!("no disk")));
    assert_eq!(body["data"]["url"], json!(format!("{}/endpoints/{}", server.url, agent.id)));
    assert_ne!(body["data"]["command_id"], json!(early));
    assert!(other.received().is_empty(), "no isolation failed");
    let sent = deliveries(&server, &admin, &id).await;
    assert_eq!((&sent[0]["state"], &sent[0]["last_status"]), (&json!("delivered"), &json!(204)));
    assert_eq!(sent[0]["id"], json!(received[0].id));
}

#[tokio::test]
async fn a_new_host_and_one_that_must_wait_are_told_apart() {
    let Lab { server, admin, receiver, .. } = lab().await;
    let events = json!({ "events": ["endpoint.enrolled", "endpoint.awaiting_approval", "isolation.drift"] });
    made(&server, &admin, &receiver.url, events).await;
    TestAgent::enrolled(&server, "web-02").await;
    TestAgent::enrolled(&server, "web-02").await;
    round(&server, clock::now()).await;
    let mut kinds: Vec<_> =
        receiver.received().iter().map(|one| one.body["type"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["endpoint.awaiting_approval", "endpoint.enrolled"]);
}

#[tokio::test]
async fn what_failed_is_tried_again_with_the_same_id_until_it_is_given_up() {
    let Lab { server, agent, admin, receiver } = lab().await;
    let (id, secret) = made(&server, &admin, &receiver.url, json!({})).await;
    receiver.answer(&[500, 302]);
    checked(&server, &agent, &admin, "fine", true).await;
    let now = clock::now();
    assert_eq!(round(&server, now).await, 1);
    assert_eq!(round(&server, now + TimeDelta::seconds(4)).await, 0, "not yet");
    assert_eq!(round(&server, now + TimeDelta::seconds(6)).await, 1);
    let waiting = &deliveries(&server, &admin, &id).await[0];
    assert_eq!((&waiting["state"], &waiting["last_status"]), (&json!("waiting"), &json!(302)));
    assert!(waiting["last_answer"].as_str().unwrap().contains("redirect"), "{waiting}");
    assert_eq!(round(&server, now + TimeDelta::minutes(1)).await, 1);
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| one.id == received[0].id && one.is_signed_by(&secret)));
    assert!(received.iter().all(|one| one.text == received[0].text), "the same bytes each time");
    assert_ne!(received[0].timestamp, received[2].timestamp, "and a signature of its own");

    receiver.answer(&[500; 7]);
    checked(&server, &agent, &admin, "again", true).await;
    let mut at = clock::now();
    for _ in 0..7 {
        assert_eq!(round(&server, at).await, 1);
        at += TimeDelta::hours(7);
    }
    assert_eq!(round(&server, at).await, 0);
    let failed = &deliveries(&server, &admin, &id).await[0];
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("failed"), &json!(7)));
    let answer = failed["last_answer"].as_str().unwrap();
    assert!(answer.starts_with("<b>answer</b> x") && answer.chars().count() <= 501, "the beginning, as text");

    let retry = format!("/api/webhooks/deliveries/{}/retry", failed["id"].as_str().unwrap());
    assert_eq!(server.post(&retry, &admin, &json!({})).await.status, 204);
    assert_eq!(round(&server, clock::now() + TimeDelta::seconds(1)).await, 1);
    assert_eq!(deliveries(&server, &admin, &id).await[0]["state"], "delivered");
    let again = server.post(&retry, &admin, &json!({})).await;
    assert_eq!((again.status, again.problem()), (404, "not-found"), "it is delivered");
}

#[tokio::test]
async fn gone_stops_a_webhook_until_somebody_resumes_it() {
    let Lab { server, agent, admin, receiver } = lab().await;
    let (id, _) = made(&server, &admin, &receiver.url, json!({})).await;
    receiver.answer(&[410]);
    checked(&server, &agent, &admin, "one", true).await;
    round(&server, clock::now()).await;
    let path = format!("/api/webhooks/{id}");
    assert_eq!(server.get(&path, &admin).await.body["state"], "gone");
    checked(&server, &agent, &admin, "two", true).await;
    assert_eq!(round(&server, clock::now()).await, 0);
    let test = server.post(&format!("{path}/test"), &admin, &json!({})).await;
    assert_eq!((test.status, test.problem()), (409, "conflict"));
    assert_eq!(server.post(&format!("{path}/resume"), &admin, &json!({})).await.status, 204);
    checked(&server, &agent, &admin, "three", true).await;
    round(&server, clock::now()).await;
    let told: Vec<_> = receiver.received().iter().map(|one| one.body["data"]["message"].clone()).collect();
    assert_eq!(told, ["one", "three"]);
    let mut sql = server.sql().await;
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'webhook.gone'")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(audited, 1);
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_one_before_for_a_day() {
    let Lab { server, admin, receiver, .. } = lab().await;
    let (id, old) = made(&server, &admin, &receiver.url, json!({})).await;
    let rotated = server.post(&format!("/api/webhooks/{id}/rotate"), &admin, &json!({})).await;
    let new = rotated.body["secret"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    let test = format!("/api/webhooks/{id}/test");
    assert_eq!(server.post(&test, &admin, &json!({})).await.status, 202);
    round(&server, clock::now()).await;
    server.post(&test, &admin, &json!({})).await;
    round(&server, clock::now() + TimeDelta::hours(25)).await;
    let received = receiver.received();
    assert_eq!(received[0].body["type"], "webhook.test");
    assert!(received[0].is_signed_by(&old) && received[0].is_signed_by(&new));
    assert!(!received[1].is_signed_by(&old) && received[1].is_signed_by(&new));
    let listed = server.get("/api/webhooks", &admin).await.body.to_string();
    assert!(!listed.contains("whsec_") && !listed.contains(new.strip_prefix("whsec_").unwrap()), "{listed}");
    let mut sql = server.sql().await;
    let audited: Vec<String> =
        sqlx::query_scalar("SELECT to_jsonb(a)::text FROM audit_log a WHERE action LIKE 'webhook.%'")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(audited.len(), 2, "creation and rotation: {audited:?}");
    assert!(audited.iter().all(|row| !row.contains("whsec_")));
}

#[tokio::test]
async fn a_message_for_slack_holds_no_markup_of_a_host() {
    let Lab { server, agent, admin, receiver } = lab().await;
    made(&server, &admin, &receiver.url, json!({ "preset": "slack" })).await;
    checked(&server, &agent, &admin, "<!channel> & <https://evil|here> \u{202e}x", false).await;
    round(&server, clock::now()).await;
    let text = receiver.received()[0].body["text"].as_str().unwrap().to_owned();
    assert!(text.contains(r"&lt;!channel&gt; &amp; &lt;https://evil|here&gt; \u{202e}x"), "{text}");
    assert!(text.ends_with(&format!(" <{}/endpoints/{}|Open it>", server.url, agent.id)), "{text}");
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_and_named() {
    let Lab { server, admin, receiver, .. } = lab().await;
    let fine = json!({ "name": "chat", "url": receiver.url, "events": ["command.failed"] });
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("url", json!("http://169.254.169.254/latest/meta-data/")),
        ("url", json!("https://10.0.0.1/")),
        ("url", json!("https://[::ffff:10.0.0.1]/")),
        ("url", json!("http://93.184.215.14/")),
        ("url", json!("file:///etc/passwd")),
        ("url", json!("https://user:secret@hooks.example.com/")),
        ("preset", json!("teams")),
        ("events", json!([])),
        ("events", json!(["operator.sign_in"])),
        ("kinds", json!(["dance"])),
    ] {
        let mut body = fine.clone();
        body[field] = value.clone();
        let answer = server.post("/api/webhooks", &admin, &body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{value}: {answer:?}");
    }
    assert_eq!(server.get("/api/webhooks", &admin).await.body, json!([]));
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let Lab { server, admin, receiver, .. } = lab().await;
    // Checked when it is connected to: the allowance of the sender is not that of the server which took the URL.
    let port = receiver.url.rsplit(':').next().unwrap().to_owned();
    let (id, _) = made(&server, &admin, &format!("http://localhost:{port}"), json!({})).await;
    server.post(&format!("/api/webhooks/{id}/test"), &admin, &json!({})).await;
    let attempts = server.strike.due_attempts(1, clock::now()).await.unwrap();
    let strict =
        Sender::new(&voltaxe_orchestrator::webhooks::Allowance(vec!["192.0.2.0/24".parse().unwrap()]));
    let Answer::None { problem } = strict.send(&attempts[0]).await else { panic!("it was connected to") };
    assert!(problem.contains("--webhook-allow-network"), "{problem}");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn webhooks_are_changed_paused_and_deleted() {
    let Lab { server, agent, admin, receiver } = lab().await;
    let (id, _) = made(&server, &admin, &receiver.url, json!({})).await;
    let path = format!("/api/webhooks/{id}");
    let change = json!({ "name": "pager", "url": receiver.url, "events": ["command.failed"] });
    let changed = server.request(Method::PUT, &path, &admin, &change).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("pager")), "{changed:?}");
    assert_eq!(server.post(&format!("{path}/pause"), &admin, &json!({})).await.status, 204);
    checked(&server, &agent, &admin, "unseen", false).await;
    assert_eq!(round(&server, clock::now()).await, 0);
    server.post(&format!("{path}/resume"), &admin, &json!({})).await;
    assert_eq!(round(&server, clock::now()).await, 0, "what happened meanwhile is not told");
    checked(&server, &agent, &admin, "seen", false).await;
    assert_eq!(round(&server, clock::now()).await, 1);
    assert_eq!(server.request(Method::DELETE, &path, &admin, &json!({})).await.status, 204);
    assert_eq!(server.get(&path, &admin).await.status, 404);
    assert_eq!(server.get(&format!("{path}/deliveries"), &admin).await.status, 404);
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_told_all_the_same() {
    use sqlx::{Connection as _, Executor as _};

    let Lab { server, admin, receiver, .. } = lab().await;
    made(&server, &admin, &receiver.url, json!({ "events": ["isolation.drift"] })).await;
    const DRIFT: &str = "INSERT INTO audit_log (at, actor, action, hostname) VALUES (now() + interval '1 minute', 'agent', 'isolation.drift', $1)";
    let mut slow = server.sql().await;
    let mut slow = slow.begin().await.unwrap();
    slow.execute(sqlx::query(DRIFT).bind("late")).await.unwrap();
    server.sql().await.execute(sqlx::query(DRIFT).bind("early")).await.unwrap();
    let now = clock::now() + TimeDelta::minutes(2);
    step(&server, now).await;
    slow.commit().await.unwrap();
    until("both", async || {
        step(&server, now).await;
        (receiver.received().len() == 2).then_some(())
    })
    .await;
    let mut hosts: Vec<_> = receiver
        .received()
        .iter()
        .map(|one| one.body["data"]["hostname"].as_str().unwrap().to_owned())
        .collect();
    hosts.sort();
    assert_eq!(hosts, ["early", "late"]);
}

/// The real binary is killed while it sends, three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_tells_everything_at_least_once() {
    const EVENTS: i64 = 9;
    const ALLOW: [&str; 2] = ["--webhook-allow-network", "127.0.0.0/8"];

    let state = new_directory();
    let _sweeper = Sweeper::start(&state.join("postgres"));
    let mut running = Server::start(&state, &ALLOW).await;
    let database = EmbeddedPostgres::start_or_join(&state.join("postgres")).await.unwrap();
    let of = |running: &Server| {
        let seed: [u8; 32] = std::fs::read(state.join("signing.key")).unwrap().try_into().unwrap();
        TestServer::of_binary(running.address, database.url(), Keypair::from_seed(&seed), state.clone())
    };
    let mut server = of(&running);
    let receiver = Receiver::start().await;
    receiver.wait(Duration::from_millis(400));
    let admin = server.signed_in(Role::Admin).await;
    let (_, secret) = made(&server, &admin, &receiver.url, json!({ "events": ["endpoint.enrolled"] })).await;
    for number in 0..EVENTS {
        TestAgent::enrolled(&server, &format!("web-{number}")).await;
        if number % 3 == 2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            running.signal("-KILL");
            running.ended().await;
            running = Server::start(&state, &ALLOW).await;
            server = of(&running);
        }
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut ids = BTreeMap::<String, Vec<String>>::new();
    while ids.len() < usize::try_from(EVENTS).unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "after 60 s only {ids:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        ids.clear();
        for one in receiver.received() {
            assert!(one.is_signed_by(&secret), "a server that starts anew has the same secret");
            let host = one.body["data"]["hostname"].as_str().unwrap().to_owned();
            ids.entry(host).or_default().push(one.id);
        }
    }
    for (host, ids) in ids {
        assert!(ids.iter().all(|id| *id == ids[0]), "{host}: a repeated message has the id of the first");
    }
}
