//! Orders about processes and evidence: what is signed, what is refused, and who sees the answer.

use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{Command, Envelope, ProcessTarget};

use crate::harness::{Answer, As, TestServer, agent::TestAgent};

async fn order(server: &TestServer, who: &As, command: &str, params: Value) -> Answer {
    let body = json!({ "command": command, "hostname": "web-01", "reason": "looking", "params": params });
    server.post("/api/commands", who, &body).await
}

async fn answers(server: &TestServer, agent: &TestAgent, id: &Value, data: Value) {
    let result = json!({ "command_id": id, "success": true, "message": "3 processes", "data": data });
    assert_eq!(agent.post(server, "/command/result", &result).await.status, 200);
}

#[tokio::test]
async fn the_parameters_are_what_the_agent_is_told() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let params = json!({ "target": { "sha256": "AB".repeat(32) }, "grace_seconds": 0, "tree": true });
    assert_eq!(order(&server, &who, "kill_process", params).await.status, 202);
    let offer = agent.poll(&server).await.remove(0);
    let envelope: Envelope = serde_json::from_value(offer["envelope"].clone()).unwrap();
    let signed = agent.open(&envelope);
    let Command::KillProcess(kill) = signed.action else { panic!("it is a kill") };
    assert_eq!(kill.target, ProcessTarget::Sha256("ab".repeat(32)));
    assert!(kill.tree && !kill.force && kill.grace_seconds == 0);
    assert!(signed.expires_at - signed.issued_at <= chrono::TimeDelta::hours(1), "a name means little later");
}

#[tokio::test]
async fn what_is_wrong_with_the_parameters_is_named() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let process = |boot_id: &str| json!({ "pid": 7, "start_ticks": 1, "boot_id": boot_id });
    let boot = "0f8fad5b-d9cb-469f-a165-70867728950e";
    for (command, params, field) in [
        ("kill_process", json!({}), "params"),
        ("kill_process", json!({ "target": { "name": "nc" }, "now": true }), "now"),
        ("kill_process", json!({ "target": { "name": "nc" }, "grace_seconds": 61 }), "grace_seconds"),
        ("kill_process", json!({ "target": { "name": "nc" }, "grace_seconds": 999 }), "grace_seconds"),
        ("kill_process", json!({ "target": { "executable": "nc" } }), "target"),
        ("suspend_process", json!({ "target": { "sha256": "abc" } }), "target"),
        ("resume_process", json!({ "target": { "processes": vec![process(boot); 101] } }), "target"),
        ("kill_process", json!({ "target": { "processes": [process("")] } }), "target"),
        ("kill_process", json!({ "target": { "processes": [{ "pid": -1 }] } }), "target.processes[0].pid"),
        ("collect_forensics", json!({ "profile": "everything" }), "profile"),
        (
            "collect_forensics",
            json!({ "profile": "quick", "limits": { "max_bytes": 1 } }),
            "limits.max_bytes",
        ),
        (
            "collect_forensics",
            json!({ "profile": "quick", "limits": { "max_seconds": 1 } }),
            "limits.max_seconds",
        ),
        (
            "collect_forensics",
            json!({ "profile": "quick", "limits": { "cpu_percent": 0 } }),
            "limits.cpu_percent",
        ),
        ("network_isolate", json!({ "reason": "hidden" }), "params.reason"),
        ("list_processes", json!({ "all": true }), "all"),
    ] {
        let answer = order(&server, &who, command, params.clone()).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{params}: {answer:?}");
    }
    assert_eq!(server.get("/api/commands", &who).await.body, json!([]), "nothing was queued");
}

#[tokio::test]
async fn an_answer_is_kept_whole_and_lists_do_not_carry_it() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let made = order(&server, &who, "list_processes", json!({})).await;
    agent.poll(&server).await;
    let data = json!({ "processes": vec!["x".repeat(1000); 50] });
    answers(&server, &agent, &made.body["command_id"], data.clone()).await;
    let location = made.headers["location"].to_str().unwrap();
    let record = server.get(location, &who).await;
    assert_eq!(record.body["result"]["data"], data, "50 kB are kept");
    let listed = server.get("/api/commands", &who).await;
    assert_eq!(listed.body[0]["result"], json!({ "success": true, "message": "3 processes" }));

    let viewer = server.signed_in(Role::Viewer).await;
    let seen = server.get(location, &viewer).await;
    assert_eq!(seen.body["result"]["message"], "3 processes");
    assert_eq!(seen.body["result"].get("data"), None, "what runs on a host is not for every viewer");
}

#[tokio::test]
async fn an_answer_can_be_waited_for() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({ "command": "list_processes", "hostname": "web-01", "reason": "looking" });
    let asked = server.post("/api/commands?wait=20", &who, &body);
    let answered = async {
        let offer = crate::harness::until("the command", async || agent.poll(&server).await.pop()).await;
        answers(&server, &agent, &offer["id"], json!({ "processes": [] })).await;
    };
    let (answer, ()) = tokio::join!(asked, answered);
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("executed")), "{answer:?}");
    assert_eq!(answer.body["command"]["result"]["data"], json!({ "processes": [] }));

    let in_vain = server.post("/api/commands?wait=1", &who, &body).await;
    assert_eq!((in_vain.status, &in_vain.body["status"]), (202, &json!("pending")));
    assert_eq!(server.post("/api/commands?wait=x", &who, &body).await.status, 422);
}

#[tokio::test]
async fn responders_may_and_viewers_may_not() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let viewer = server.signed_in(Role::Viewer).await;
    for command in
        ["isolation_preview", "list_processes", "kill_process", "collect_forensics", "isolation_change"]
    {
        assert_eq!(order(&server, &viewer, command, json!({})).await.status, 403, "{command}");
    }
}
