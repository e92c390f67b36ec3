//! First-run setup, sign-in and sessions, as the pages use them.

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use voltaxe_orchestrator::{
    authority::Role,
    operators::{SetupError, SignInError},
};
use voltaxe_server::clock;

use crate::harness::{As, PASSWORD, TestServer};

fn password() -> SecretString {
    SecretString::from(PASSWORD)
}

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn the_setup_link_makes_one_administrator_and_then_nothing() {
    let server = TestServer::start().await;
    let old = server.operators.new_setup_token(clock::now()).await.unwrap().unwrap();
    let link = server.operators.new_setup_token(clock::now()).await.unwrap().unwrap();
    let complete = async |token: &SecretString, name: &str| {
        server.operators.complete_setup(token.clone(), name, password(), CLIENT, clock::now()).await
    };
    assert!(
        matches!(complete(&old, "admin").await, Err(SetupError::LinkInvalid)),
        "a newer link replaced it"
    );
    let (_, operator) = complete(&link, "Admin").await.unwrap();
    assert_eq!((operator.username.as_str(), operator.role), ("admin", Role::Admin));
    assert!(matches!(complete(&link, "second").await, Err(SetupError::AlreadySetUp)));
    assert!(server.operators.new_setup_token(clock::now()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_expired_setup_link_and_a_weak_password_are_refused() {
    let server = TestServer::start().await;
    let yesterday = clock::now() - TimeDelta::hours(25);
    let expired = server.operators.new_setup_token(yesterday).await.unwrap().unwrap();
    let outcome = server.operators.complete_setup(expired, "admin", password(), CLIENT, clock::now()).await;
    assert!(matches!(outcome, Err(SetupError::LinkInvalid)));
    let link = server.operators.new_setup_token(clock::now()).await.unwrap().unwrap();
    let weak = SecretString::from("short");
    let outcome = server.operators.complete_setup(link, "admin", weak, CLIENT, clock::now()).await;
    assert!(matches!(outcome, Err(SetupError::Invalid { field: "password", .. })));
}

#[tokio::test]
async fn two_who_use_the_same_link_at_once_make_one_administrator() {
    let server = TestServer::start().await;
    let link = server.operators.new_setup_token(clock::now()).await.unwrap().unwrap();
    let attempts = ["ann.one", "bob.two", "eve.three"]
        .map(|name| server.operators.complete_setup(link.clone(), name, password(), CLIENT, clock::now()));
    let made = futures::future::join_all(attempts).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_its_absolute_limit() {
    let server = TestServer::start().await;
    let now = clock::now();
    server.operators.create_at_console("ann", Role::Viewer, password(), now).await.unwrap();
    let (session, _) = server.operators.sign_in("ann", password(), CLIENT, now).await.unwrap();
    let holds = async |at| server.operators.operator_of(&session, at).await.unwrap().is_some();
    assert!(holds(now + TimeDelta::hours(7)).await);
    assert!(holds(now + TimeDelta::hours(14)).await, "use moves the idle limit on");
    assert!(!holds(now + TimeDelta::hours(23)).await, "idle for nine hours");
    assert!(holds(now + TimeDelta::hours(21)).await);
    assert!(!holds(now + TimeDelta::hours(25)).await, "the absolute limit");
}

#[tokio::test]
async fn a_reset_password_ends_the_sessions_and_the_old_password() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    let new = SecretString::from("another long phrase 42");
    server.operators.reset_password_at_console("viewer.tester", new.clone(), clock::now()).await.unwrap();
    assert_eq!(server.get("/telemetry", &who).await.status, 401);
    let old = server.operators.sign_in("viewer.tester", password(), CLIENT, clock::now()).await;
    assert!(matches!(old, Err(SignInError::Wrong)));
    assert!(server.operators.sign_in("viewer.tester", new, CLIENT, clock::now()).await.is_ok());
}

#[tokio::test]
async fn wrong_passwords_slow_their_sender_and_nobody_else() {
    let server = TestServer::start().await;
    let now = clock::now();
    server.operators.create_at_console("ann", Role::Viewer, password(), now).await.unwrap();
    let wrong = || SecretString::from("wrong");
    let mut throttled = false;
    for _ in 0..8 {
        match server.operators.sign_in("ann", wrong(), CLIENT, now).await {
            Err(SignInError::Wrong) => {}
            Err(SignInError::Throttled { retry_after_seconds }) => {
                assert!((1..=31).contains(&retry_after_seconds));
                throttled = true;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(throttled);
    let elsewhere = [192, 0, 2, 7].into();
    assert!(server.operators.sign_in("ann", password(), elsewhere, now).await.is_ok(), "never locked out");
}

#[tokio::test]
async fn signing_in_over_http_sets_a_host_cookie_and_wrong_words_set_none() {
    let server = TestServer::start().await;
    server.operators.create_at_console("ann", Role::Viewer, password(), clock::now()).await.unwrap();
    let sign_in = async |password: &str| {
        server.post("/rpc/sign_in", &As::nobody(), &json!({ "username": "ann", "password": password })).await
    };
    let answer = sign_in("wrong").await;
    assert_eq!(answer.status, 401);
    assert!(!answer.headers.contains_key("set-cookie"));
    let answer = sign_in(PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    for part in ["__Host-voltaxe=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{part}");
    }
    let session = cookie.split(';').next().unwrap();
    assert_eq!(server.get("/telemetry", &As::nobody().with("cookie", session)).await.status, 200);
}

#[tokio::test]
async fn only_hashes_of_secrets_are_in_the_database() {
    let server = TestServer::start().await;
    let link = server.operators.new_setup_token(clock::now()).await.unwrap().unwrap();
    let who = server.signed_in(Role::Admin).await;
    let string = server.enrol_string(1).await;
    let session =
        who.0.iter().find(|(name, _)| *name == "cookie").unwrap().1.split_once('=').unwrap().1.to_owned();
    let mut sql = server.sql().await;
    for secret in [link.expose_secret(), session.as_str(), string.token.as_str(), PASSWORD] {
        for table in ["operators", "sessions", "setup_links", "enrolment_tokens", "audit_log"] {
            let query = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'");
            let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .bind(secret)
                .fetch_one(&mut sql)
                .await
                .unwrap();
            assert_eq!(found, 0, "{table}");
        }
    }
}
