//! The list of endpoints, and orders to what it shows.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Connection as _;
use voltaxe_orchestrator::authority::Role;
use voltaxe_store::Seen;

use crate::harness::{Answer, As, TestServer, agent::TestAgent};

async fn fleet(server: &TestServer, names: &[&str]) -> Vec<TestAgent> {
    let mut agents = Vec::new();
    for name in names {
        agents.push(TestAgent::enrolled(server, name).await);
    }
    agents
}

/// What hosts and operators would have said.
async fn describe(server: &TestServer, name: &str, set: &str) {
    change(server, format!("UPDATE endpoints SET {set} WHERE hostname = '{name}'")).await;
}

/// When it was heard of, and its load.
async fn heard(server: &TestServer, name: &str, set: &str) {
    let of_name = format!("endpoint_id = (SELECT id FROM endpoints WHERE hostname = '{name}')");
    change(server, format!("UPDATE endpoint_seen SET {set} WHERE {of_name}")).await;
}

async fn change(server: &TestServer, sql: String) {
    let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut server.sql().await).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
}

fn names(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.body["endpoints"].as_array().unwrap();
    rows.iter().map(|row| row["hostname"].as_str().unwrap()).collect()
}

async fn list(server: &TestServer, who: &As, query: &str) -> Answer {
    server.get(&format!("/api/endpoints?{query}"), who).await
}

#[tokio::test]
async fn the_list_is_filtered_by_everything_that_it_shows() {
    let server = TestServer::start().await;
    fleet(&server, &["app-01", "db-01", "web-01", "web-02"]).await;
    describe(
        &server,
        "web-01",
        "labels = '{prod,team:red}', addresses = '10.1.2.3 fd00::3', os = 'Debian 12'",
    )
    .await;
    describe(&server, "web-02", "labels = '{prod}'").await;
    heard(&server, "web-02", "last_seen_at = now() - interval '2 hours', load_hundredths = 80").await;
    describe(&server, "db-01", "agent_version = '9.9.9'").await;
    heard(&server, "db-01", "last_seen_at = now(), load_hundredths = 250").await;
    heard(&server, "app-01", "last_seen_at = now() - interval '30 days'").await;
    let who = server.signed_in(Role::Viewer).await;
    for (query, expected) in [
        ("", vec!["app-01", "db-01", "web-01", "web-02"]),
        ("q=WEB", vec!["web-01", "web-02"]),
        ("q=10.1.2", vec!["web-01"]),
        ("q=team:red", vec!["web-01"]),
        ("q=web+debian", vec!["web-01"]),
        ("q=b-", vec!["db-01", "web-01", "web-02"]),
        ("q=%25", vec![]),
        ("label=prod", vec!["web-01", "web-02"]),
        ("label=prod&label=team:red", vec!["web-01"]),
        ("os=Debian%2012", vec!["web-01"]),
        ("version=9.9.9", vec!["db-01"]),
        ("status=connected", vec!["db-01"]),
        ("status=offline", vec!["app-01", "web-01", "web-02"]),
        ("status=offline&q=web-02", vec!["web-02"]),
        ("status=offline&status=connected", vec!["app-01", "db-01", "web-01", "web-02"]),
        ("status=offline&seen=1d", vec!["web-02"]),
        ("status=offline&sort=-load&limit=1", vec!["web-02"]),
        ("status=offline&sort=seen", vec!["web-01", "app-01", "web-02"]),
        ("status=connected&sort=load", vec!["db-01"]),
        ("seen=1d", vec!["web-02"]),
        ("seen=1d&seen=15m&sort=-host", vec!["web-02", "db-01"]),
        ("isolation=isolated", vec![]),
        ("isolation=attention&isolation=failed&q=app", vec!["app-01"]),
        ("sort=-load&limit=2", vec!["db-01", "web-02"]),
        ("sort=-seen&limit=3", vec!["db-01", "web-02", "app-01"]),
        ("columns=load", vec!["app-01", "db-01", "web-01", "web-02"]),
    ] {
        let answer = list(&server, &who, query).await;
        assert_eq!(names(&answer), expected, "{query}");
    }
    let row = &list(&server, &who, "q=web-01").await.body["endpoints"][0];
    assert_eq!((&row["labels"], &row["status"]), (&json!(["prod", "team:red"]), &json!("active")));
    assert_eq!((&row["os"], &row["isolation_group"]), (&json!("Debian 12"), &json!("attention")));
}

/// So many that they are not told to the database one by one.
#[tokio::test]
async fn a_thousand_that_are_away_are_told_from_the_others() {
    let server = TestServer::start().await;
    fleet(&server, &["web-01", "web-02"]).await;
    heard(&server, "web-01", "last_seen_at = now()").await;
    let more = "INSERT INTO endpoints (id, hostname, epoch, public_key, machine_id, status, agent_version, os, enrolled_at)
                SELECT 'ep_' || md5(n::text), 'db-' || n, 1, decode(repeat(md5(n::text), 2), 'hex'), 'm' || n, 'active', '0', 'x', now()
                FROM generate_series(1, 1001) AS n";
    sqlx::query(more).execute(&mut server.sql().await).await.unwrap();
    let who = server.signed_in(Role::Viewer).await;
    for (query, expected) in [
        ("status=offline&q=web", vec!["web-02"]),
        ("status=offline&sort=-host&limit=2", vec!["web-02", "db-999"]),
        ("status=connected", vec!["web-01"]),
        ("status=connected&status=offline&sort=-host&limit=2", vec!["web-02", "web-01"]),
    ] {
        assert_eq!(names(&list(&server, &who, query).await), expected, "{query}");
    }
    let page = server.post("/rpc/endpoints", &who, &json!({ "query": "status=offline" })).await;
    let counts = &page.body["counts"];
    assert_eq!((&counts["all"], &counts["all_offline"]), (&json!(1003), &json!(1002)), "{counts}");
    assert_eq!(counts["matching"], json!(1002));
}

#[tokio::test]
async fn pages_go_forwards_and_backwards_and_are_stable_under_what_comes_between() {
    let server = TestServer::start().await;
    let all: Vec<String> = (0..7).map(|number| format!("web-{number}0")).collect();
    fleet(&server, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let who = server.signed_in(Role::Viewer).await;
    for sort in ["host", "-host", "seen", "isolation", "os", "version", "-load"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        let mut pages = Vec::new();
        loop {
            let page = list(&server, &who, &format!("sort={sort}&limit=3{cursor}")).await;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let next = page.body["next"].as_str().map(|next| format!("&cursor={next}"));
            pages.push(page);
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(pages.len(), 3, "{sort}");
        assert_eq!(pages[0].body["previous"], Value::Null, "{sort}");
        let mut sorted = seen.clone();
        sorted.sort();
        assert_eq!(sorted, all, "{sort}: each is on exactly one page");
        let back = pages[2].body["previous"].as_str().unwrap();
        let back = list(&server, &who, &format!("sort={sort}&limit=3&cursor={back}")).await;
        assert_eq!(names(&back), names(&pages[1]), "{sort}");
    }

    let first = list(&server, &who, "limit=3").await;
    let next = first.body["next"].as_str().unwrap();
    fleet(&server, &["aaa-00", "web-15"]).await;
    let second = list(&server, &who, &format!("limit=3&cursor={next}")).await;
    assert_eq!(names(&second), ["web-30", "web-40", "web-50"], "what was enrolled before it moves nothing");
}

#[tokio::test]
async fn when_a_host_was_heard_of_is_written_if_it_is_newer_and_nobody_holds_the_row() {
    let server = TestServer::start().await;
    let agents = fleet(&server, &["web-01", "web-02"]).await;
    let mut sql = server.sql().await;
    let at = |seconds: i64| DateTime::from_timestamp(2_000_000_000 + seconds, 0).unwrap();
    let seen = |number: usize, seconds, load_hundredths| Seen {
        endpoint_id: agents[number].id.clone(),
        at: at(seconds),
        load_hundredths,
    };
    let mut kept = async || {
        let all = "SELECT s.last_seen_at, s.load_hundredths FROM endpoint_seen s JOIN endpoints e ON e.id = s.endpoint_id
                   ORDER BY e.hostname";
        sqlx::query_as::<_, (Option<DateTime<Utc>>, i32)>(all).fetch_all(&mut sql).await.unwrap()
    };
    assert_eq!(kept().await, [(None, -1), (None, -1)], "enrolled");

    let mut holder = server.sql().await;
    let mut held = holder.begin().await.unwrap();
    let hold = "SELECT FROM endpoint_seen WHERE endpoint_id = $1 FOR UPDATE";
    sqlx::query(hold).bind(agents[0].id.as_str()).execute(&mut *held).await.unwrap();
    server.store.flush_seen(&[seen(0, 1, Some(10)), seen(1, 1, Some(20))]).await.unwrap();
    held.rollback().await.unwrap();
    assert_eq!(kept().await, [(None, -1), (Some(at(1)), 20)]);

    server.store.flush_seen(&[seen(0, 2, None), seen(1, 0, Some(30))]).await.unwrap();
    assert_eq!(kept().await, [(Some(at(2)), -1), (Some(at(1)), 20)]);

    let id = &agents[1].id;
    assert!(server.store.join(id, 7, "1.0.0", at(3)).await.unwrap());
    assert!(!server.store.join(id, 7, "1.0.0", at(4)).await.unwrap(), "a copied key");
    assert_eq!(kept().await[1], (Some(at(3)), 20));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_its_name() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    for (query, field) in [
        ("status=asleep", "status"),
        ("isolation=maybe", "isolation"),
        ("seen=soon", "seen"),
        ("sort=size", "sort"),
        ("colour=red", "colour"),
        ("cursor=nonsense", "cursor"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("q=%00", "q"),
    ] {
        let answer = list(&server, &who, query).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{query}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    fleet(&server, &["web-01", "web-02"]).await;
    let page = list(&server, &who, "limit=1").await;
    let cursor = page.body["next"].as_str().unwrap();
    let other_order = list(&server, &who, &format!("sort=-host&cursor={cursor}")).await;
    assert_eq!((other_order.status, &other_order.body["field"]), (422, &json!("cursor")));
    assert_eq!(list(&server, &As::nobody(), "").await.status, 401);
}

#[tokio::test]
async fn a_query_is_ordered_as_a_whole_but_for_who_is_taken_out() {
    let server = TestServer::start().await;
    fleet(&server, &["db-01", "web-01", "web-02", "web-03"]).await;
    let who = server.signed_in(Role::Responder).await;
    let order = |confirmed: u32, excluded: Value| {
        json!({
            "command": "network_isolate", "query": "q=web", "reason": "outbreak", "confirmed": confirmed,
            "excluded": excluded,
        })
    };
    let out = json!([{ "hostname": "web-02", "reason": "serves the hospital" }]);
    let too_many = server.post("/api/batches", &who, &order(1, out.clone())).await;
    assert_eq!((too_many.status, too_many.problem()), (409, "conflict"), "{too_many:?}");
    let no_reason = json!([{ "hostname": "web-02", "reason": "" }]);
    let not_chosen = json!([{ "hostname": "db-01", "reason": "is not there" }]);
    for excluded in [no_reason, not_chosen] {
        let refused = server.post("/api/batches", &who, &order(3, excluded)).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!("excluded")), "{refused:?}");
    }
    assert!(server.get("/api/batches", &who).await.body.as_array().unwrap().is_empty());

    let batch = server.post("/api/batches", &who, &order(2, out)).await;
    assert_eq!((batch.status, &batch.body["total"]), (202, &json!(2)), "{batch:?}");
    let kept = &batch.body["excluded"][0];
    assert_eq!((&kept["hostname"], &kept["reason"]), (&json!("web-02"), &json!("serves the hospital")));
    let pending = list(&server, &who, "isolation=pending").await;
    assert_eq!(names(&pending), ["web-01", "web-03"]);

    for (body, field) in [
        (json!({ "command": "agent_check", "query": "q=web", "reason": "look" }), "confirmed"),
        (
            json!({ "command": "agent_check", "query": "colour=red", "confirmed": 9, "reason": "look" }),
            "colour",
        ),
        (
            json!({ "command": "agent_check", "query": "", "hostnames": ["db-01"], "confirmed": 9, "reason": "look" }),
            "query",
        ),
        (json!({ "command": "agent_check", "query": "q=nobody", "confirmed": 9, "reason": "look" }), "hosts"),
    ] {
        let refused = server.post("/api/batches", &who, &body).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!(field)), "{refused:?}");
    }
    let viewer = server.signed_in(Role::Viewer).await;
    assert_eq!(server.post("/api/batches", &viewer, &order(3, json!([]))).await.status, 403);
}

#[tokio::test]
async fn the_page_counts_chooses_and_orders_by_the_same_query() {
    let server = TestServer::start().await;
    fleet(&server, &["db-01", "web-01", "web-02"]).await;
    describe(&server, "web-01", "labels = '{prod}'").await;
    heard(&server, "web-01", "last_seen_at = now()").await;
    let who = server.signed_in(Role::Responder).await;
    let page = server.post("/rpc/endpoints", &who, &json!({ "query": "q=web&colour=red" })).await;
    assert_eq!(page.body["rows"].as_array().unwrap().len(), 2, "{page:?}");
    let counts = &page.body["counts"];
    assert_eq!(
        (&counts["all"], &counts["matching"], &counts["all_offline"]),
        (&json!(3), &json!(2), &json!(2))
    );
    let labels = counts["filters"].as_array().unwrap().iter().find(|filter| filter["word"] == "label");
    assert_eq!(labels.unwrap()["values"], json!([{ "value": "prod", "count": 1 }]));

    let choice = json!({ "matching": "q=web" });
    let resolved = server.post("/rpc/resolve_choice", &who, &json!({ "choice": choice })).await;
    assert_eq!((&resolved.body["hosts"], &resolved.body["names"]), (&json!(2), &json!(["web-01", "web-02"])));
    let unclear = json!({ "choice": { "matching": "q=web&colour=red" } });
    assert_eq!(server.post("/rpc/resolve_choice", &who, &unclear).await.status, 422);

    let send = json!({
        "order": "check", "choice": choice, "confirmed": 1, "form": "reason=to+look",
        "excluded": [{ "hostname": "web-02", "reason": "is rebuilt" }], "idempotency_key": uuid::Uuid::new_v4(),
    });
    let sent = server.post("/rpc/bulk_order", &who, &send).await;
    let id = sent.body["batch"].as_str().unwrap_or_else(|| panic!("{sent:?}"));
    let again = server.post("/rpc/bulk_order", &who, &send).await;
    assert_eq!(again.body["batch"], *id);
    let hosts = server.post("/rpc/batch_hosts", &who, &json!({ "id": id, "after": null })).await;
    assert_eq!((&hosts.body["rows"][0]["hostname"], &hosts.body["next"]), (&json!("web-01"), &Value::Null));
    assert_eq!(hosts.body["rows"].as_array().unwrap().len(), 1, "{hosts:?}");
    let batch = server.post("/rpc/batch", &who, &json!({ "id": id })).await;
    assert_eq!(batch.body["progress"]["batch"]["excluded"][0]["reason"], "is rebuilt", "{batch:?}");
}

#[tokio::test]
async fn a_view_is_saved_shared_replaced_and_deleted_by_its_owner() {
    let server = TestServer::start().await;
    let (viewer, admin) = (server.signed_in(Role::Viewer).await, server.signed_in(Role::Admin).await);
    let save = |name: &str, is_shared: bool| json!({ "name": name, "query": "q=web&cursor=abc&colour=red", "is_shared": is_shared });
    server.post("/rpc/save_view", &viewer, &save("mine", false)).await;
    let views = server.post("/rpc/save_view", &viewer, &save("ours", true)).await;
    assert_eq!(views.body.as_array().unwrap().len(), 2, "{views:?}");
    assert_eq!((&views.body[0]["query"], &views.body[0]["by"]), (&json!("q=web"), &Value::Null));
    let seen = server.post("/rpc/saved_views", &admin, &json!({})).await;
    assert_eq!(
        (&seen.body[0]["name"], &seen.body[0]["by"]),
        (&json!("ours"), &json!("viewer.tester")),
        "{seen:?}"
    );
    let id = json!({ "id": views.body[1]["id"] });
    assert_eq!(server.post("/rpc/delete_view", &admin, &id).await.status, 404, "somebody else's");
    let left = server.post("/rpc/delete_view", &viewer, &id).await;
    assert_eq!(left.body.as_array().unwrap().len(), 1);
    let refused = server.post("/rpc/save_view", &viewer, &save(" ", false)).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    for number in 0..49 {
        assert_eq!(
            server.post("/rpc/save_view", &viewer, &save(&format!("v{number}"), false)).await.status,
            200
        );
    }
    assert_eq!(server.post("/rpc/save_view", &viewer, &save("one more", false)).await.status, 409);
    assert_eq!(server.post("/rpc/save_view", &viewer, &save("mine", true)).await.status, 200, "replaces");
}

/// The column that the list is filtered by against what the page makes of the same facts.
#[tokio::test]
async fn the_database_groups_endpoints_as_the_page_does() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = agent.id.as_str();
    let who = server.signed_in(Role::Viewer).await;
    let mut sql = server.sql().await;
    let states = ["pending", "delivered", "executed", "failed", "expired", "cancelled"];
    let wishes =
        ["isolate", "restore"].into_iter().flat_map(|direction| states.map(|state| Some((direction, state))));
    for wish in wishes.chain([None]) {
        for observed in [None, Some("not_isolated"), Some("isolated"), Some("partial"), Some("unknown")] {
            for is_provisional in [false, true] {
                if observed.is_none() && is_provisional {
                    continue;
                }
                for table in ["desired_isolation", "telemetry_latest"] {
                    let sql_text = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
                    sqlx::query(sql_text).execute(&mut sql).await.unwrap();
                }
                sqlx::query("UPDATE endpoints SET isolation_group = 0").execute(&mut sql).await.unwrap();
                // By insert and by update, in either order: both triggers do the same.
                if let Some((direction, state)) = wish {
                    let insert = "INSERT INTO desired_isolation (endpoint_id, command_id, direction, state, created_by, created_at, reason, expires_at)
                                  VALUES ($1, 7, $2, 'pending', 'bob', now(), 'why', now() + interval '1 day')";
                    sqlx::query(insert).bind(id).bind(direction).execute(&mut sql).await.unwrap();
                    let update = "UPDATE desired_isolation SET state = $2 WHERE endpoint_id = $1";
                    sqlx::query(update).bind(id).bind(state).execute(&mut sql).await.unwrap();
                }
                if let Some(observed) = observed {
                    let insert = "INSERT INTO telemetry_latest (endpoint_id, observed_at, received_at, isolation_state, isolation_observed_at, isolation_received_at)
                                  VALUES ($1, now(), now(), 'unknown', '2026-01-01 00:00:00Z', now())";
                    sqlx::query(insert).bind(id).execute(&mut sql).await.unwrap();
                    let facts = json!({ "state": observed, "observed_at": "2026-01-01T00:00:00Z", "is_provisional": is_provisional });
                    let update = "UPDATE telemetry_latest SET isolation_state = $2, isolation_facts = $3 WHERE endpoint_id = $1";
                    sqlx::query(update).bind(id).bind(observed).bind(&facts).execute(&mut sql).await.unwrap();
                }
                let kept: (i16,) = sqlx::query_as("SELECT isolation_group FROM endpoints WHERE id = $1")
                    .bind(id)
                    .fetch_one(&mut sql)
                    .await
                    .unwrap();
                let kept = ["attention", "failed", "pending", "isolated", "connected"]
                    [usize::try_from(kept.0).unwrap()];
                let shown = list(&server, &who, "").await.body["endpoints"][0]["isolation_group"].clone();
                assert_eq!(shown, kept, "{wish:?}, {observed:?}, provisional: {is_provisional}");
            }
        }
    }
}
