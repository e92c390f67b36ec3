use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use serde_json::{Value, json};
use voltaxe_orchestrator::{authority::Role, events::Change, model::ProgressNote};
use voltaxe_protocol::{AgentFrame, CommandId, ObservedIsolation};

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, say},
};

#[derive(Debug)]
pub struct Frame {
    pub event: String,
    pub id: String,
    pub data: String,
}

/// The frames of an event stream, as a browser would cut them.
pub struct Frames {
    body: futures::stream::BoxStream<'static, Vec<u8>>,
    rest: String,
}

impl Frames {
    pub async fn open(server: &TestServer, who: &As) -> Self {
        Self::open_at(server, who, "/events").await
    }

    pub async fn open_at(server: &TestServer, who: &As, path: &str) -> Self {
        let response = server.open(path, who).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = futures::stream::unfold(response, |mut response| async move {
            let chunk = response.chunk().await.ok()??;
            Some((chunk.to_vec(), response))
        });
        Self { body: body.boxed(), rest: String::new() }
    }

    /// The next frame that is no ping.
    async fn next(&mut self) -> Frame {
        loop {
            let frame = self.next_of_all().await;
            if frame.event != "ping" {
                return frame;
            }
        }
    }

    async fn next_of_all(&mut self) -> Frame {
        let next = async {
            loop {
                if let Some((frame, rest)) = self.rest.split_once("\n\n") {
                    let field = |name: &str| {
                        frame
                            .lines()
                            .find_map(|line| line.strip_prefix(name))
                            .unwrap_or_default()
                            .trim()
                            .to_owned()
                    };
                    let frame = Frame { event: field("event:"), id: field("id:"), data: field("data:") };
                    self.rest = rest.to_owned();
                    return frame;
                }
                let chunk = self.body.next().await.expect("the stream goes on");
                self.rest.push_str(&String::from_utf8(chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("a frame within 20 s")
    }

    pub async fn next_called(&mut self, event: &str) -> Frame {
        loop {
            let frame = self.next().await;
            if frame.event == event {
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn a_click_and_its_result_are_told_to_everybody_who_watches() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let mut frames = Frames::open(&server, &who).await;
    assert_eq!(frames.next().await.event, "reset", "a first connection loads anew");
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let command: Value = serde_json::from_str(&frames.next_called("command").await.data).unwrap();
    assert_eq!(command["id"], click.body["command_id"], "{command}");
    let telemetry = serde_json::to_value(agent.telemetry(ObservedIsolation::NotIsolated)).unwrap();
    agent.post(&server, "/telemetry", &telemetry).await;
    let endpoint = frames.next_called("endpoint").await;
    assert!(endpoint.data.contains("web-01"));
}

#[tokio::test]
async fn a_lost_connection_resumes_without_a_gap_and_an_unknown_place_loads_anew() {
    let server = TestServer::start().await;
    let _agents =
        [TestAgent::enrolled(&server, "web-01").await, TestAgent::enrolled(&server, "web-02").await];
    let who = server.signed_in(Role::Responder).await;
    let mut frames = Frames::open(&server, &who).await;
    let place = frames.next().await.id;
    server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    frames.next_called("command").await;
    drop(frames);
    let missed = server.post("/api/isolate", &who, &json!({ "hostname": "web-02" })).await;

    let mut resumed = Frames::open(&server, &who.clone().with("last-event-id", place)).await;
    let first: Value = serde_json::from_str(&resumed.next_called("command").await.data).unwrap();
    assert_ne!(first["id"], missed.body["command_id"], "from where it was, in order");
    let second: Value = serde_json::from_str(&resumed.next_called("command").await.data).unwrap();
    assert_eq!(second["id"], missed.body["command_id"]);

    let mut lost = Frames::open(&server, &who.clone().with("last-event-id", "17")).await;
    assert_eq!(lost.next().await.event, "reset");
}

#[tokio::test]
async fn progress_is_told_at_most_twice_a_second_and_never_kept() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let (mut socket, _) = agent.join(&server).await;
    let who = server.signed_in(Role::Responder).await;
    let mut frames = Frames::open(&server, &who).await;
    frames.next_called("reset").await;
    let body = json!({ "command": "collect_forensics", "hostname": "web-01", "reason": "looking",
                       "params": { "profile": "quick" } });
    let click = server.post("/api/commands", &who, &body).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    for done in 0..200 {
        let step = format!("processes{}", "!".repeat(1000));
        let frame =
            AgentFrame::Progress { command_id: id, step, done_steps: done, total_steps: 200, bytes: 4096 };
        say(&mut socket, &frame).await;
    }
    let result = json!({ "command_id": id, "success": true, "message": "collected" });
    say(&mut socket, &AgentFrame::Result(serde_json::from_value(result).unwrap())).await;
    let mut told = Vec::new();
    loop {
        let frame = frames.next().await;
        let data: Value = serde_json::from_str(&frame.data).unwrap();
        match frame.event.as_str() {
            "progress" => told.push(data),
            "command" if data["state"] == "executed" => break,
            _ => {}
        }
    }
    assert!((1..100).contains(&told.len()), "{} of 200", told.len());
    assert_eq!((&told[0]["command_id"], &told[0]["endpoint_id"]), (&json!(id), &json!(agent.id)));
    assert_eq!(
        (&told[0]["done"], &told[0]["total"], &told[0]["bytes"]),
        (&json!(0), &json!(200), &json!(4096))
    );
    let step = told[0]["step"].as_str().unwrap();
    assert_eq!((step.chars().count(), step.ends_with('…')), (201, true), "cut, and it says so");
}

/// A command's number is only what the agent says.
#[tokio::test]
async fn an_agent_that_tells_of_anothers_command_takes_no_turn_of_it() {
    let server = TestServer::start().await;
    let mut owner = TestAgent::enrolled(&server, "web-01").await;
    let mut other = TestAgent::enrolled(&server, "web-02").await;
    let (mut owners, _) = owner.join(&server).await;
    let (mut others, _) = other.join(&server).await;
    let who = server.signed_in(Role::Responder).await;
    let mut frames = Frames::open(&server, &who).await;
    frames.next_called("reset").await;
    let about = |step: &str| AgentFrame::Progress {
        command_id: CommandId(7),
        step: step.to_owned(),
        done_steps: 1,
        total_steps: 2,
        bytes: 0,
    };
    say(&mut others, &about("mine")).await;
    let first: Value = serde_json::from_str(&frames.next_called("progress").await.data).unwrap();
    assert_eq!(first["endpoint_id"], json!(other.id));
    say(&mut owners, &about("processes")).await;
    let second: Value = serde_json::from_str(&frames.next_called("progress").await.data).unwrap();
    assert_eq!((&second["endpoint_id"], &second["step"]), (&json!(owner.id), &json!("processes")));
}

#[tokio::test]
async fn a_watcher_hears_of_what_its_page_shows_and_of_nothing_else() {
    let server = TestServer::start().await;
    let one = TestAgent::enrolled(&server, "web-01").await;
    let _other = TestAgent::enrolled(&server, "web-02").await;
    let who = server.signed_in(Role::Responder).await;
    let open = async |show: &str| {
        let mut frames = Frames::open_at(&server, &who, &format!("/events?show={show}")).await;
        assert_eq!(frames.next().await.event, "reset");
        frames
    };
    let mut endpoint = open(&format!("endpoint:{}", one.id)).await;
    let mut commands = open("commands").await;
    let mut endpoints = open("endpoints").await;
    server.post("/api/isolate", &who, &json!({ "hostname": "web-02" })).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let mut command = open(&format!("command:{}", click.body["command_id"])).await;

    let first: Value = serde_json::from_str(&endpoint.next().await.data).unwrap();
    assert_eq!(first["id"], click.body["command_id"], "nothing of web-02");
    for hostname in ["web-02", "web-01"] {
        let frame = commands.next().await;
        assert_eq!(frame.event, "command");
        assert!(frame.data.contains(hostname), "{frame:?}");
    }
    assert_eq!(endpoints.next().await.event, "endpoint");

    let id = click.body["command_id"].as_i64().unwrap();
    server.post(&format!("/api/commands/{id}/cancel"), &who, &json!({})).await;
    let told: Value = serde_json::from_str(&command.next_called("command").await.data).unwrap();
    assert_eq!((&told["id"], &told["state"]), (&json!(id), &json!("cancelled")));
}

#[tokio::test]
async fn another_page_goes_on_where_the_one_before_it_was() {
    let server = TestServer::start().await;
    let agents = [TestAgent::enrolled(&server, "web-01").await, TestAgent::enrolled(&server, "web-02").await];
    let who = server.signed_in(Role::Responder).await;
    let mut nothing = Frames::open_at(&server, &who, "/events?show=none").await;
    let place = nothing.next().await.id;
    for hostname in ["web-01", "web-02"] {
        server.post("/api/isolate", &who, &json!({ "hostname": hostname })).await;
    }
    let path = format!("/events?show=endpoint:{}&after={place}", agents[1].id);
    let mut resumed = Frames::open_at(&server, &who, &path).await;
    let frame = resumed.next().await;
    assert_eq!(frame.event, "command", "no reset: nothing is missing");
    assert!(frame.data.contains("web-02"), "{frame:?}");

    // A browser that reconnects by itself repeats the address and says in a header what it has seen since.
    let newer = who.clone().with("last-event-id", frame.id);
    let mut again = Frames::open_at(&server, &newer, &path).await;
    assert_eq!(again.next().await.event, "endpoint", "the command is not told again");
    let mut lost = Frames::open_at(&server, &who, "/events?show=none&after=17").await;
    assert_eq!(lost.next().await.event, "reset");

    // Whoever hears of nothing keeps its place all the same.
    let told = loop {
        let frame = nothing.next_of_all().await;
        if frame.event != "ping" || frame.id != place {
            break frame;
        }
    };
    assert_eq!(told.event, "ping");
}

#[tokio::test]
async fn a_storm_is_told_of_in_few_parts_and_its_end_is_not_lost() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Viewer).await;
    let path = format!("/events?show=endpoint:{}", agent.id);
    let mut frames = Frames::open_at(&server, &who, &path).await;
    assert_eq!(frames.next().await.event, "reset");
    let last = 3_000;
    for done in 0..=last {
        server.strike.events().publish(Change::Progress(Arc::new(ProgressNote {
            endpoint_id: agent.id.clone(),
            command_id: CommandId(7),
            step: "processes".to_owned(),
            done,
            total: last,
            bytes: 0,
        })));
        if done % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    let mut told = Vec::new();
    while told.last() != Some(&u64::from(last)) {
        let note: Value = serde_json::from_str(&frames.next_called("progress").await.data).unwrap();
        told.push(note["done"].as_u64().unwrap());
    }
    assert!(told.is_sorted());
    assert!(told.len() < 100, "told {} times of {last} changes in a second", told.len());
}

#[tokio::test]
async fn what_a_watcher_asks_for_is_read_strictly() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    for (query, field) in [
        ("show=hosts", "show"),
        ("show=", "show"),
        ("show=all,none", "show"),
        ("show=endpoint:web-01", "show"),
        ("show=commands&show=endpoints", "show"),
        ("after=yesterday", "after"),
        ("shows=commands", "query"),
    ] {
        let answer = server.get(&format!("/events?{query}"), &who).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!(field)), "{query}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}
