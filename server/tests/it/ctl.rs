//! `voltaxe-server ctl`, the real binary against a server: what it prints, and how it exits.

use std::{path::PathBuf, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;
use voltaxe_orchestrator::authority::Role;

use crate::harness::{TestServer, agent::TestAgent, postgres::run_directory, until};

struct Shell {
    url: String,
    token_file: PathBuf,
}

impl Shell {
    async fn of(server: &TestServer, role: Role) -> Self {
        let token_file = new_file();
        let header = server.token(role).await.header("authorization").to_owned();
        std::fs::write(&token_file, header.strip_prefix("Bearer ").unwrap()).unwrap();
        Self { url: server.url.clone(), token_file }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voltaxe-server"));
        command.env_clear().env("VOLTAXE_SERVER", &self.url).env("VOLTAXE_TOKEN_FILE", &self.token_file);
        command.arg("ctl").args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> (i32, String, String) {
        told(&self.command(args).output().await.unwrap())
    }
}

fn new_file() -> PathBuf {
    run_directory().join(uuid::Uuid::new_v4().simple().to_string())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn an_order_waits_for_its_host_and_exits_by_what_became_of_it() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let shell = Shell::of(&server, Role::Responder).await;
    for (success, code) in [(true, 0), (false, 1)] {
        let args = ["check", "web-01", "--reason", "looking", "--wait", "--output", "json"];
        let waiting = shell.command(&args).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let order = until("the order", async || agent.poll(&server).await.into_iter().next()).await;
        let result = json!({ "command_id": order["id"], "success": success, "message": "So it is" });
        assert_eq!(agent.post(&server, "/command/result", &result).await.status, 200);
        let (status, stdout, stderr) = told(&waiting.wait_with_output().await.unwrap());
        assert_eq!(status, code, "{stderr}");
        let record: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&record["id"], &record["result"]["message"]), (&json!(order["id"]), &json!("So it is")));
    }
}

#[tokio::test]
async fn each_outcome_has_its_exit_code_and_each_error_its_fix() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let shell = Shell::of(&server, Role::Responder).await;

    let key = uuid::Uuid::new_v4().to_string();
    let isolate =
        ["isolate", "web-01", "--reason", "Beacon", "--auto-restore", "1h", "--idempotency-key", &key];
    let (code, stdout, stderr) = shell.run(&isolate).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("ID ") && stdout.contains("network_isolate"), "{stdout}");
    assert!(stderr.is_empty(), "no progress without a terminal: {stderr}");
    let again = shell.run(&isolate).await;
    assert_eq!(again.1, stdout, "the same key is the same order");

    let (code, _, stderr) =
        shell.run(&["check", "web-01", "--reason", "looking", "--wait", "--timeout", "1s"]).await;
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("ctl command "), "names the way on: {stderr}");
    let (code, stdout, _) = shell.run(&["commands", "--output", "json"]).await;
    let commands: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, commands.as_array().unwrap().len()), (0, 2));
    let id = commands[0]["id"].to_string();
    assert_eq!(shell.run(&["cancel", &id]).await.0, 0);
    assert_eq!(shell.run(&["command", &id, "--wait"]).await.0, 3);
    assert_eq!(shell.run(&["cancel", &id]).await.0, 1, "it is final");

    let (code, _, stderr) = shell.run(&["release", "nowhere", "--reason", "Cleaned"]).await;
    assert!(code == 2 && stderr.contains("nowhere"), "{code} {stderr}");
    let (code, _, stderr) = shell.run(&["isolate", "web-01"]).await;
    assert!(code == 2 && stderr.contains("--reason"), "{code} {stderr}");
    let (code, _, stderr) = shell.run(&["batch", "check", "web-01", "web-99", "--reason", "looking"]).await;
    assert!(code == 2 && stderr.contains("web-99"), "{code} {stderr}");
    let (code, stdout, stderr) = shell.run(&["batch", "check", "web-01", "--reason", "looking"]).await;
    assert!(code == 0 && stdout.contains("agent_check"), "{stderr}");
    let (code, stdout, _) = shell.run(&["list"]).await;
    assert!(code == 0 && stdout.contains("web-01"), "{stdout}");
    let viewer = Shell::of(&server, Role::Viewer).await;
    let (code, _, stderr) = viewer.run(&["kill", "web-01", "--name", "nc", "--reason", "Miner"]).await;
    assert!(code == 4 && stderr.contains("responder"), "{code} {stderr}");
    let nowhere = Shell { url: "http://127.0.0.1:9".to_owned(), token_file: shell.token_file.clone() };
    let (code, _, stderr) = nowhere.run(&["list"]).await;
    assert!(code == 5 && stderr.contains("--server"), "{code} {stderr}");
    let plain = Shell { url: "http://voltaxe.example".to_owned(), token_file: shell.token_file.clone() };
    let (code, _, stderr) = plain.run(&["list"]).await;
    assert!(code == 2 && stderr.contains("https"), "{code} {stderr}");
    let slipped = Shell { url: server.url.clone(), token_file: new_file() };
    std::fs::write(&slipped.token_file, format!("vxt_{}\n", "0".repeat(72))).unwrap();
    let (code, _, stderr) = slipped.run(&["list"]).await;
    assert!(code == 2 && stderr.contains("no API token"), "{code} {stderr}");
}
