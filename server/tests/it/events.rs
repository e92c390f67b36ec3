use futures::StreamExt as _;
use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
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
        let response = server.open("/events", who).await;
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
                    if frame.event != "ping" {
                        return frame;
                    }
                    continue;
                }
                let chunk = self.body.next().await.expect("the stream goes on");
                self.rest.push_str(&String::from_utf8(chunk).unwrap());
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), next).await.expect("a frame within 20 s")
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
    assert_eq!(told[0]["step"].as_str().unwrap().len(), 200, "cut");
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
