//! Administering operators: what changes holds at once, and there is always an administrator.

use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use voltaxe_orchestrator::{authority::Role, operators::SetupError};
use voltaxe_server::clock;

use crate::harness::{As, PASSWORD, TestServer};

const NEW_PASSWORD: &str = "another long enough secret";

async fn id_of(server: &TestServer, admin: &As, username: &str) -> String {
    let answer = server.get("/api/operators", admin).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.body.as_array().unwrap();
    let row = rows.iter().find(|row| row["username"] == username).expect("the operator is listed");
    row["id"].as_str().unwrap().to_owned()
}

async fn change(server: &TestServer, admin: &As, id: &str, body: Value) -> crate::harness::Answer {
    server.request(Method::PATCH, &format!("/api/operators/{id}"), admin, &body).await
}

#[tokio::test]
async fn an_administrator_makes_lists_and_changes_operators() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let new = json!({ "username": "Ben", "role": "viewer", "password": PASSWORD });
    let made = server.post("/api/operators", &admin, &new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/api/operators/{id}"));
    assert_eq!(id_of(&server, &admin, "ben").await, id);
    let again = server.post("/api/operators", &admin, &new).await;
    assert_eq!((again.status, &again.body["field"]), (422, &json!("username")));
    let weak = json!({ "username": "zoe", "role": "viewer", "password": "short" });
    let weak = server.post("/api/operators", &admin, &weak).await;
    assert_eq!((weak.status, &weak.body["field"]), (422, &json!("password")));

    let set = change(&server, &admin, id, json!({ "role": "responder" })).await;
    assert_eq!(set.status, 204, "{set:?}");
    let nothing = change(&server, &admin, id, json!({})).await;
    assert_eq!(nothing.status, 422);
    let nobody =
        change(&server, &admin, "00000000-0000-0000-0000-000000000000", json!({ "role": "admin" })).await;
    assert_eq!((nobody.status, nobody.problem()), (404, "not-found"));

    let log = server.get("/api/audit?action=operator&actor=admin.tester", &admin).await;
    let details: Vec<_> = log.body.as_array().unwrap().iter().map(|row| &row["detail"]).collect();
    assert_eq!(details[0], &json!({ "username": "ben", "role": "responder", "was": "viewer" }));
    assert!(!log.body.to_string().contains(PASSWORD));
}

#[tokio::test]
async fn a_change_of_role_holds_for_sessions_that_are_open() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let viewer = server.signed_in(Role::Viewer).await;
    let id = id_of(&server, &admin, "viewer.tester").await;
    assert_eq!(server.get("/api/audit", &viewer).await.status, 403);
    change(&server, &admin, &id, json!({ "role": "responder" })).await;
    assert_eq!(server.get("/api/audit", &viewer).await.status, 200);
    change(&server, &admin, &id, json!({ "role": "viewer" })).await;
    assert_eq!(server.get("/api/audit", &viewer).await.status, 403);
}

#[tokio::test]
async fn disabling_ends_sessions_and_the_event_stream_at_once() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let viewer = server.signed_in(Role::Viewer).await;
    let id = id_of(&server, &admin, "viewer.tester").await;
    let mut stream = server.open("/events", &viewer).await;
    assert_eq!(stream.status(), 200);
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(change(&server, &admin, &id, json!({ "disabled": true })).await.status, 204);
    let ended = tokio::time::timeout(Duration::from_secs(3), async {
        while let Ok(Some(_)) = stream.chunk().await {}
    });
    ended.await.expect("the stream ends long before its next look at the session");
    assert_eq!(server.get("/telemetry", &viewer).await.status, 401);
    assert_eq!(change(&server, &admin, &id, json!({ "disabled": false })).await.status, 204);
    assert_eq!(server.get("/telemetry", &viewer).await.status, 401, "a session that ended stays so");
    let again = server.signed_in(Role::Viewer).await;
    assert_eq!(server.get("/telemetry", &again).await.status, 200);
}

#[tokio::test]
async fn nobody_changes_their_own_role_and_the_last_administrator_stays() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let own = id_of(&server, &admin, "admin.tester").await;
    for body in [json!({ "role": "viewer" }), json!({ "disabled": true })] {
        let answer = change(&server, &admin, &own, body).await;
        assert_eq!((answer.status, answer.problem()), (409, "conflict"), "{answer:?}");
    }
    let reset = server
        .request(
            Method::PUT,
            &format!("/api/operators/{own}/password"),
            &admin,
            &json!({ "password": NEW_PASSWORD }),
        )
        .await;
    assert_eq!((reset.status, &reset.body["field"]), (422, &json!("password")));

    // Two administrators put each other out at the same moment: one of them stays.
    let now = clock::now();
    let password = || SecretString::from(PASSWORD);
    server.operators.create_at_console("second", Role::Admin, password(), now).await.unwrap();
    let (_, second) =
        server.operators.sign_in("second", password(), [127, 0, 0, 1].into(), now).await.unwrap();
    let (_, first) =
        server.operators.sign_in("admin.tester", password(), [127, 0, 0, 1].into(), now).await.unwrap();
    let (permit_first, permit_second) = (first.permit().unwrap(), second.permit().unwrap());
    let (one, two) = tokio::join!(
        server.operators.set_role(&permit_first, second.id, Role::Viewer, now),
        server.operators.set_disabled(&permit_second, first.id, true, now)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM operators WHERE role = 'admin' AND disabled_at IS NULL")
            .fetch_one(&mut server.sql().await)
            .await
            .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_one_or_all() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let first = server.signed_in(Role::Viewer).await;
    let second = server.signed_in(Role::Viewer).await;
    let id = id_of(&server, &admin, "viewer.tester").await;
    let sessions = format!("/api/operators/{id}/sessions");
    let listed = server.get(&sessions, &admin).await;
    let rows = listed.body.as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["client"], &rows[0]["is_own"]), (2, &json!("127.0.0.1"), &json!(false)));
    assert!(!listed.body.to_string().contains("token"));
    let one = format!("{sessions}/{}", rows[1]["id"].as_str().unwrap());
    assert_eq!(server.request(Method::DELETE, &one, &admin, &json!({})).await.status, 204);
    assert_eq!(server.get("/telemetry", &first).await.status, 401);
    assert_eq!(server.get("/telemetry", &second).await.status, 200);
    assert_eq!(server.request(Method::DELETE, &one, &admin, &json!({})).await.status, 404);
    let all = server.request(Method::DELETE, &sessions, &admin, &json!({})).await;
    assert_eq!(all.body, json!({ "ended": 1 }));
    assert_eq!(server.get("/telemetry", &second).await.status, 401);

    let own = id_of(&server, &admin, "admin.tester").await;
    server.request(Method::DELETE, &format!("/api/operators/{own}/sessions"), &admin, &json!({})).await;
    assert_eq!(server.get("/telemetry", &admin).await.status, 200, "one's own goes on");
}

#[tokio::test]
async fn a_reset_password_ends_sessions_and_lets_in() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let viewer = server.signed_in(Role::Viewer).await;
    let id = id_of(&server, &admin, "viewer.tester").await;
    let body = json!({ "password": NEW_PASSWORD });
    let path = format!("/api/operators/{id}/password");
    assert_eq!(server.request(Method::PUT, &path, &admin, &body).await.status, 204);
    assert_eq!(server.get("/telemetry", &viewer).await.status, 401);
    let client = [127, 0, 0, 1].into();
    let password = SecretString::from(NEW_PASSWORD);
    assert!(server.operators.sign_in("viewer.tester", password, client, clock::now()).await.is_ok());
}

#[tokio::test]
async fn ones_own_password_needs_the_old_one_and_guessing_is_slowed() {
    let server = TestServer::start().await;
    let first = server.signed_in(Role::Viewer).await;
    let client = [192, 0, 2, 7].into();
    let secret = |text: &str| SecretString::from(text);
    let now = clock::now();
    let (token, operator) =
        server.operators.sign_in("viewer.tester", secret(PASSWORD), client, now).await.unwrap();
    let set = async |old: &str, new: &str| {
        server.operators.change_password(&operator, &token, secret(old), secret(new), client, now).await
    };
    assert!(matches!(set(PASSWORD, "short").await, Err(SetupError::Invalid { field: "password", .. })));
    assert!(matches!(set(PASSWORD, PASSWORD).await, Err(SetupError::Invalid { field: "password", .. })));
    for _ in 0..6 {
        let wrong = set("not the password", NEW_PASSWORD).await;
        assert!(matches!(wrong, Err(SetupError::Invalid { field: "old_password", .. })), "{wrong:?}");
    }
    assert!(matches!(set(PASSWORD, NEW_PASSWORD).await, Err(SetupError::Throttled { .. })));
    let later = now + chrono::TimeDelta::minutes(1);
    server
        .operators
        .change_password(&operator, &token, secret(PASSWORD), secret(NEW_PASSWORD), client, later)
        .await
        .unwrap();
    assert_eq!(server.get("/telemetry", &first).await.status, 401, "the other session has ended");
    assert!(server.operators.operator_of(&token, later).await.unwrap().is_some(), "this one goes on");
}
