//! What the server says of an isolation when a change of it comes to nothing, or several come at once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, CommandResult, Exception, ObservedIsolation};
use voltaxe_server::clock;
use voltaxe_store::model::DesiredIsolation;

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, outcome},
};

struct Lab {
    server: TestServer,
    agent: TestAgent,
    who: As,
}

impl Lab {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let agent = TestAgent::enrolled(&server, "web-01").await;
        let who = server.signed_in(Role::Responder).await;
        Self { server, agent, who }
    }

    /// With a host that is isolated for an hour, one host excepted.
    async fn isolated() -> Self {
        let lab = Self::start().await;
        let id = lab.ordered().await;
        lab.does(id).await;
        lab
    }

    async fn ordered(&self) -> CommandId {
        let body = json!({ "hostname": "web-01", "reason": "beacon", "auto_restore_after_seconds": 3600,
                           "exceptions": [{ "network": "10.0.0.5", "protocol": "tcp", "port": 22 }] });
        self.posted("/api/isolate", &body).await
    }

    async fn changed(&self, params: Value) -> CommandId {
        let body = json!({ "command": "isolation_change", "hostname": "web-01", "reason": "let dns in",
                           "params": params });
        self.posted("/api/commands", &body).await
    }

    async fn posted(&self, path: &str, body: &Value) -> CommandId {
        let answer = self.server.post(path, &self.who, body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        CommandId(answer.body["command_id"].as_i64().unwrap())
    }

    async fn does(&self, id: CommandId) {
        self.reports(&outcome(id, ObservedIsolation::Isolated)).await;
    }

    async fn fails(&self, id: CommandId) {
        let message = "nft: out of memory".to_owned();
        self.reports(&CommandResult { command_id: id, success: false, message, data: None }).await;
    }

    async fn reports(&self, result: &CommandResult) {
        self.agent.poll(&self.server).await;
        let result = serde_json::to_value(result).unwrap();
        assert_eq!(self.agent.post(&self.server, "/command/result", &result).await.status, 200);
    }

    async fn desired(&self) -> DesiredIsolation {
        self.server.store.endpoint(&self.agent.id).await.unwrap().unwrap().desired.unwrap()
    }

    /// What the record says holds: its exceptions, DNS, the newest change, its end.
    async fn record(&self) -> (Vec<Exception>, bool, Option<CommandId>, Option<DateTime<Utc>>) {
        let desired = self.desired().await;
        (desired.terms.exceptions, desired.terms.allow_dns, desired.change_id, desired.auto_restore_at)
    }

    async fn rollback_path(&self) -> String {
        let waiting = self.server.get("/api/schedules?waiting=true", &self.who).await;
        format!("/api/schedules/{}", waiting.body[0]["schedule_id"].as_str().unwrap())
    }

    async fn newest(&self) -> CommandId {
        let all = self.server.get("/api/commands?limit=1", &self.who).await;
        CommandId(all.body[0]["id"].as_i64().or(all.body[0]["command_id"].as_i64()).unwrap())
    }
}

fn in_hours(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(clock::now().timestamp() + hours * 3600, 0).unwrap()
}

#[tokio::test]
async fn a_change_that_fails_expires_or_is_cancelled_gives_the_terms_and_the_end_back() {
    let lab = Lab::isolated().await;
    let before = lab.record().await;
    assert_eq!((before.0.len(), before.1, before.2), (1, false, None));
    for params in [json!({ "allow_dns": true, "auto_restore_at": in_hours(5) }), json!({ "allow_dns": true })]
    {
        let failing = lab.changed(params.clone()).await;
        let wanted = lab.record().await;
        assert_eq!((wanted.0.len(), wanted.1, wanted.2), (0, true, Some(failing)));
        assert_ne!(wanted.3, before.3);
        lab.fails(failing).await;
        assert_eq!(lab.record().await, before, "failed: {params}");

        let cancelled = lab.changed(params.clone()).await;
        let path = format!("/api/commands/{cancelled}/cancel");
        assert_eq!(lab.server.post(&path, &lab.who, &json!({})).await.status, 200);
        assert_eq!(lab.record().await, before, "cancelled: {params}");

        lab.changed(params.clone()).await;
        let later = clock::now() + TimeDelta::days(30);
        assert_eq!(lab.server.store.expire(later, later).await.unwrap().len(), 1);
        assert_eq!(lab.record().await, before, "expired: {params}");
    }
    let all = lab.server.get("/api/schedules", &lab.who).await;
    assert_eq!(all.body.as_array().unwrap().len(), 1, "the same rollback, which waits again");
    assert!(all.body[0]["note"].as_str().unwrap().ends_with("is expired"), "{all:?}");
    let kept = lab.changed(json!({ "allow_dns": true })).await;
    lab.does(kept).await;
    assert_eq!(lab.record().await, (Vec::new(), true, Some(kept), None));
}

#[tokio::test]
async fn an_end_that_the_host_did_not_take_is_not_the_records() {
    let lab = Lab::isolated().await;
    let before = lab.record().await;
    let path = lab.rollback_path().await;
    let longer = lab.server.post(&format!("{path}/extend"), &lab.who, &json!({ "seconds": 600 })).await;
    assert_eq!(longer.status, 200, "{longer:?}");
    assert_eq!(lab.record().await.3, before.3.map(|end| end + TimeDelta::seconds(600)));
    lab.fails(lab.newest().await).await;
    assert_eq!(lab.record().await, before);

    assert_eq!(lab.server.post(&format!("{path}/cancel"), &lab.who, &json!({})).await.status, 200);
    assert_eq!(lab.record().await.3, None);
    lab.fails(lab.newest().await).await;
    assert_eq!(lab.record().await, before, "the host's kernel still counts");
    assert_eq!(lab.rollback_path().await, path);
    lab.server.strike.run_schedules(before.3.unwrap() + TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(lab.agent.poll(&lab.server).await[0]["command"], "network_restore");
}

#[tokio::test]
async fn of_several_changes_the_record_says_the_one_that_was_carried_out() {
    let lab = Lab::isolated().await;
    let (five, nine) = (in_hours(5), in_hours(9));
    let first = lab.changed(json!({ "allow_dns": true, "auto_restore_at": five })).await;
    let second = lab.changed(json!({ "auto_restore_at": nine })).await;
    lab.does(first).await;
    assert_eq!(lab.record().await, (Vec::new(), false, Some(second), Some(nine)), "what is wanted");
    lab.fails(second).await;
    let of_first = (Vec::new(), true, Some(first), Some(five));
    assert_eq!(lab.record().await, of_first);

    let third = lab.changed(json!({})).await;
    let fourth = lab.changed(json!({ "auto_restore_at": nine })).await;
    lab.fails(fourth).await;
    assert_eq!(lab.record().await, of_first, "none of the two is in force");
    lab.does(third).await;
    assert_eq!(lab.record().await, (Vec::new(), false, Some(third), None));
}

#[tokio::test]
async fn a_way_back_that_was_cancelled_too_early_counts_from_the_effect_when_the_host_keeps_it() {
    let lab = Lab::start().await;
    for host_is_isolated_first in [false, true] {
        let isolate = lab.ordered().await;
        let path = lab.rollback_path().await;
        assert_eq!(lab.server.post(&format!("{path}/cancel"), &lab.who, &json!({})).await.status, 200);
        let change = lab.newest().await;
        assert_ne!(change, isolate);
        if host_is_isolated_first {
            lab.does(isolate).await;
            assert_eq!(lab.desired().await.auto_restore_at, None, "it was cancelled");
            lab.fails(change).await;
        } else {
            lab.fails(change).await;
            lab.does(isolate).await;
        }
        let end = lab.desired().await.auto_restore_at.unwrap();
        assert!((end - clock::now() - TimeDelta::hours(1)).abs() < TimeDelta::seconds(20), "{end}");
        let restore = lab.posted("/api/restore", &json!({ "hostname": "web-01", "reason": "clean" })).await;
        lab.reports(&outcome(restore, ObservedIsolation::NotIsolated)).await;
    }
}

#[tokio::test]
async fn a_change_of_an_isolation_that_is_over_leaves_the_next_one_alone() {
    let lab = Lab::isolated().await;
    let old = lab.changed(json!({ "allow_dns": true })).await;
    let restore = lab.posted("/api/restore", &json!({ "hostname": "web-01", "reason": "clean" })).await;
    lab.reports(&outcome(restore, ObservedIsolation::NotIsolated)).await;
    let id = lab.posted("/api/isolate", &json!({ "hostname": "web-01", "reason": "again" })).await;
    lab.does(id).await;
    lab.fails(old).await;
    assert_eq!(lab.record().await, (Vec::new(), false, None, None));
}

/// Whatever comes first, the record is of the newest order, and nobody waits for anybody for ever.
#[tokio::test]
async fn an_end_that_is_moved_while_the_terms_change_is_one_of_the_two_and_whole() {
    let lab = Lab::isolated().await;
    for round in 0..15 {
        let path = lab.rollback_path().await;
        let (extend, cancel) = (format!("{path}/extend"), format!("{path}/cancel"));
        let (seconds, nothing) = (json!({ "seconds": 60 }), json!({}));
        let body = json!({ "command": "isolation_change", "hostname": "web-01", "reason": "let dns in",
                           "params": { "allow_dns": round % 2 == 0, "auto_restore_at": in_hours(2 + round) } });
        let (extended, changed, cancelled) = tokio::join!(
            lab.server.post(&extend, &lab.who, &seconds),
            lab.server.post("/api/commands", &lab.who, &body),
            async {
                if round % 3 == 0 { Some(lab.server.post(&cancel, &lab.who, &nothing).await) } else { None }
            },
        );
        assert!(matches!(extended.status, 200 | 409), "{extended:?}");
        assert_eq!(changed.status, 202, "{changed:?}");
        assert!(cancelled.is_none_or(|answer| matches!(answer.status, 200 | 409)));
        let commands = lab.agent.poll(&lab.server).await;
        let newest = commands.last().unwrap()["id"].as_i64().unwrap();
        let newest = lab.server.store.command(CommandId(newest)).await.unwrap().unwrap();
        let record = lab.record().await;
        assert_eq!(record.2, Some(newest.id), "round {round}");
        assert_eq!(json!(record.1), newest.params.get("allow_dns").cloned().unwrap_or(json!(false)));
        let end = newest.params.get("auto_restore_at").filter(|end| !end.is_null());
        let end: Option<DateTime<Utc>> = end.map(|end| serde_json::from_value(end.clone()).unwrap());
        assert_eq!(record.3.map(|end| end.timestamp()), end.map(|end| end.timestamp()), "round {round}");
        if record.3.is_none() {
            lab.changed(json!({ "auto_restore_at": in_hours(3) })).await;
        }
    }
}

/// Who moves an isolation's end takes its row before its rollback's, whatever makes it do so.
#[tokio::test]
async fn nobody_holds_a_rollback_while_it_waits_for_the_isolation() {
    let lab = Lab::start().await;
    let isolate = lab.ordered().await;
    lab.agent.poll(&lab.server).await;
    let path = lab.rollback_path().await;
    let holds = async |what: &str, action: &mut (dyn Future<Output = ()> + Unpin)| {
        let mut sql = lab.server.sql().await;
        for statement in [
            "SET lock_timeout = '5s'",
            "BEGIN",
            "SELECT FROM desired_isolation WHERE direction = 'isolate' FOR UPDATE",
        ] {
            sqlx::query(statement).execute(&mut sql).await.unwrap();
        }
        let waiting = tokio::time::timeout(Duration::from_millis(300), &mut *action).await;
        assert!(waiting.is_err(), "{what} does not wait for the isolation");
        let free = sqlx::query("SELECT FROM schedules FOR UPDATE NOWAIT").execute(&mut sql).await;
        assert!(free.is_ok(), "{what} holds the rollback: {free:?}");
        sqlx::query("COMMIT").execute(&mut sql).await.unwrap();
        action.await;
    };
    holds("an isolate's result", &mut Box::pin(lab.does(isolate))).await;
    let params = json!({ "auto_restore_at": in_hours(2) });
    let change = async {
        lab.changed(params).await;
    };
    holds("a change", &mut Box::pin(change)).await;
    let extend = async {
        let answer = lab.server.post(&format!("{path}/extend"), &lab.who, &json!({ "seconds": 60 })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    holds("an extension", &mut Box::pin(extend)).await;
    let newest = lab.newest().await;
    holds("a change's result", &mut Box::pin(lab.fails(newest))).await;
    let run = async { lab.server.strike.run_schedules(clock::now() + TimeDelta::days(1)).await.unwrap() };
    holds("a run", &mut Box::pin(run)).await;
    let restores = lab.agent.poll(&lab.server).await;
    assert!(restores.iter().any(|command| command["command"] == "network_restore"));
}

#[tokio::test]
async fn a_run_that_was_planned_before_another_order_makes_nothing() {
    let lab = Lab::isolated().await;
    let due = lab.desired().await.auto_restore_at.unwrap();
    let planned = lab.server.store.due_schedules(due).await.unwrap().remove(0);
    let restore = lab.posted("/api/restore", &json!({ "hostname": "web-01", "reason": "clean" })).await;
    lab.server.strike.run_schedules(due).await.unwrap();
    let ended = lab.server.store.schedule(planned.id).await.unwrap().unwrap();
    assert_eq!(ended.note.as_deref(), Some("another order was given to the host since"));
    let commands = lab.agent.poll(&lab.server).await;
    let restores: Vec<&Value> = commands.iter().filter(|one| one["command"] == "network_restore").collect();
    assert_eq!(restores.len(), 1);
    assert_eq!(restores[0]["id"], json!(restore));
}
