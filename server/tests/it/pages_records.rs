//! The pages that look back, and the forms on them, as a browser gets and sends them.

use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_server::clock;

use crate::harness::{Answer, As, PASSWORD, TestServer, agent::TestAgent};

async fn page(server: &TestServer, path: &str, who: &As) -> (u16, String) {
    let answer = server.get(path, who).await;
    (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
}

fn shows(html: &str, words: &[&str]) {
    for words in words {
        assert!(html.contains(words), "{words:?} is missing in:\n{html}");
    }
}

async fn operate(server: &TestServer, who: &As, form: &str) -> Answer {
    server.post("/rpc/operate", who, &json!({ "form": form })).await
}

#[tokio::test]
async fn each_page_is_complete_without_javascript() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let order = json!({ "hostname": "web-01", "reason": "<b>beacon</b>" });
    let click = server.post("/api/isolate", &admin, &order).await;
    let id = click.body["command_id"].as_i64().unwrap();
    server.strike.keep_sample(clock::now()).await.unwrap();

    for (path, words) in [
        (
            "/audit",
            &["Audit log", "command.network_isolate", "admin.tester", "&lt;b&gt;beacon", "Export as CSV"][..],
        ),
        ("/audit?action=operator&host=nothing", &["Nothing in the log fits.", "value=\"operator\""]),
        ("/operators", &["admin.tester", "New operator", "Last seen"]),
        ("/settings", &["Change your password", "This one", "Set a rate limit", "History is kept"]),
        ("/health", &["Pending commands", "What is watched", "Commands are picked up", "figure__line"]),
        ("/commands", &["web-01", "Pending", "Before (UTC)"]),
        ("/commands?state=failed", &["No command fits."]),
        (
            &format!("/commands/{id}"),
            &["Isolate #", "&lt;b&gt;beacon", "Cancel this command", "What happened"],
        ),
    ] {
        let (status, html) = page(&server, path, &admin).await;
        assert_eq!(status, 200, "{path}: {html}");
        shows(&html, words);
        assert!(!html.contains("<b>beacon"), "{path}");
    }
}

#[tokio::test]
async fn pages_follow_the_roles() {
    let server = TestServer::start().await;
    let viewer = server.signed_in(Role::Viewer).await;
    for (path, expected) in [
        ("/audit", 403),
        ("/audit/1", 403),
        ("/operators", 403),
        ("/settings", 200),
        ("/health", 200),
        ("/commands", 200),
        ("/commands/1", 404),
        ("/commands/x", 404),
    ] {
        let (status, html) = page(&server, path, &viewer).await;
        assert_eq!(status, expected, "{path}: {html}");
        assert!(!html.contains("Set a rate limit"), "{path}");
    }
    for action in [
        "create_operator",
        "set_role",
        "disable_operator",
        "reset_password",
        "set_rate_limit",
        "cancel_command",
    ] {
        let form = format!("action={action}&id={}&role=viewer&username=x", uuid::Uuid::nil());
        assert_eq!(operate(&server, &viewer, &form).await.status, 403, "{action}");
    }
}

#[tokio::test]
async fn forms_make_and_change_operators_and_name_the_field_that_is_wrong() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let password = PASSWORD.replace(' ', "+");
    let create = |again: &str| {
        format!("action=create_operator&username=Ben&role=viewer&password={password}&password_again={again}")
    };
    let typo = operate(&server, &admin, &create("typo")).await;
    assert_eq!((typo.status, &typo.body["invalid"]["field"]), (422, &json!("password_again")), "{typo:?}");
    let made = operate(&server, &admin, &create(&password)).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert!(made.body.to_string().contains("ben can sign in now"));

    let list = server.get("/api/operators", &admin).await;
    let ben = list.body.as_array().unwrap().iter().find(|row| row["username"] == "ben").unwrap().clone();
    let id = ben["id"].as_str().unwrap();
    let set = operate(&server, &admin, &format!("action=set_role&id={id}&role=responder")).await;
    assert_eq!(set.status, 200, "{set:?}");
    let (_, html) = page(&server, &format!("/operators/{id}"), &admin).await;
    shows(&html, &["responder", "Disable ben", "Set a new password", "No session is open."]);
    let gone = operate(&server, &admin, &format!("action=disable_operator&id={id}")).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let (_, html) = page(&server, &format!("/operators/{id}"), &admin).await;
    shows(&html, &["Disabled since", "Enable ben"]);

    let own =
        list.body.as_array().unwrap().iter().find(|row| row["username"] == "admin.tester").unwrap().clone();
    let own = own["id"].as_str().unwrap();
    let (_, html) = page(&server, &format!("/operators/{own}"), &admin).await;
    shows(&html, &["Your own role cannot be changed"]);
    let refused = operate(&server, &admin, &format!("action=set_role&id={own}&role=viewer")).await;
    assert_eq!(refused.status, 409, "{refused:?}");
}

#[tokio::test]
async fn everybody_changes_their_own_password_and_ends_their_other_sessions() {
    let server = TestServer::start().await;
    let other = server.signed_in(Role::Viewer).await;
    let third = server.signed_in(Role::Viewer).await;
    let viewer = server.signed_in(Role::Viewer).await;
    let (_, html) = page(&server, "/settings", &viewer).await;
    let choice = html.split("name=\"session\"").nth(1).unwrap();
    let session = choice.split("<option value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let ended = operate(&server, &viewer, &format!("action=end_session&session={session}")).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let open = [&other, &third];
    let mut left = 0;
    for who in open {
        left += usize::from(server.get("/telemetry", who).await.status == 200);
    }
    assert_eq!(left, 1);

    let new = "an+even+longer+secret";
    let change =
        |old: &str| format!("action=change_password&old_password={old}&password={new}&password_again={new}");
    let wrong = operate(&server, &viewer, &change("wrong")).await;
    assert_eq!((wrong.status, &wrong.body["invalid"]["field"]), (422, &json!("old_password")), "{wrong:?}");
    let right = operate(&server, &viewer, &change(&PASSWORD.replace(' ', "+"))).await;
    assert_eq!(right.status, 200, "{right:?}");
    for who in open {
        assert_eq!(server.get("/telemetry", who).await.status, 401);
    }
    assert_eq!(server.get("/telemetry", &viewer).await.status, 200, "the one that asked goes on");
}

#[tokio::test]
async fn rate_limits_are_set_and_removed_on_the_settings_page() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let bad = operate(&server, &admin, "action=set_rate_limit&kind=agent_check&per_minute=0&burst=5").await;
    assert_eq!((bad.status, &bad.body["invalid"]["field"]), (422, &json!("per_minute")), "{bad:?}");
    let set =
        operate(&server, &admin, "action=set_rate_limit&kind=agent_check&per_minute=30.5&burst=5").await;
    assert_eq!(set.status, 200, "{set:?}");
    let (_, html) = page(&server, "/settings", &admin).await;
    shows(&html, &["30.5", "Remove a rate limit"]);
    let gone = operate(&server, &admin, "action=remove_rate_limit&kind=agent_check").await;
    assert_eq!(gone.status, 200, "{gone:?}");
}

#[tokio::test]
async fn health_says_what_to_look_at() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let permit = || {
        use voltaxe_orchestrator::authority::{Operator, OperatorId};
        let operator =
            Operator { id: OperatorId(uuid::Uuid::nil()), username: "vera".to_owned(), role: Role::Viewer };
        operator.permit().unwrap()
    };
    let now = clock::now();
    let well = server.strike.health(&permit(), now).await.unwrap();
    assert!(well.alerts.iter().all(|alert| !alert.is_on), "{:?}", well.alerts);
    assert!(well.now.database.bytes > 0 && well.now.database.connections > 0);
    server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let later = now + chrono::TimeDelta::minutes(20);
    let ill = server.strike.health(&permit(), later).await.unwrap();
    let on: Vec<_> = ill.alerts.iter().filter(|alert| alert.is_on).map(|alert| alert.name).collect();
    assert_eq!(on, ["Commands are picked up"]);
    assert_eq!(ill.now.pending, 1);
    assert!(ill.now.commit_p99_micros.is_some());
    for minute in 0..70 {
        server.strike.keep_sample(now + chrono::TimeDelta::minutes(minute)).await.unwrap();
    }
    let hour = server.strike.health(&permit(), now + chrono::TimeDelta::minutes(70)).await.unwrap();
    assert_eq!(hour.past.len(), 60);
}
