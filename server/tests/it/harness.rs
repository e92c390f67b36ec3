//! A server a test, on its own database of one shared Postgres, and an agent that speaks the real protocol.

pub mod agent;
pub mod bundle;
pub mod postgres;
pub mod s3;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum_server::Handle;
use leptos::config::LeptosOptions;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use voltaxe_orchestrator::{
    Strike, StrikeConfig, api_tokens::ApiTokenRequest, authority::Role, operators::Operators,
    webhooks::Allowance,
};
use voltaxe_protocol::{EnrolString, Keypair};
use voltaxe_server::{
    clock,
    config::{EvidencePlace, EvidenceSettings},
    evidence_store::evidence_config,
    gateway::{call, probe::ArrivedAt, signed::Nonces},
    routes,
    state::{AppState, Places, Shared},
    web::install::Installer,
};
use voltaxe_store::Store;

pub const PASSWORD: &str = "correct horse battery staple";

pub struct TestServer {
    pub url: String,
    pub address: SocketAddr,
    pub store: Store,
    pub strike: Strike,
    pub operators: Operators,
    pub database_url: String,
    pub evidence: EvidenceSettings,
    key_seed: [u8; 32],
    client: reqwest::Client,
    shutdown: CancellationToken,
    handle: Handle<SocketAddr>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

/// What a request is sent with.
#[derive(Clone, Debug, Default)]
pub struct As(pub Vec<(&'static str, String)>);

impl As {
    /// No session, but from the console's own page.
    pub fn nobody() -> Self {
        Self(vec![("sec-fetch-site", "same-origin".to_owned())])
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into()));
        self
    }

    pub fn header(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| *known == name).expect("the header is there").1
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_on(&postgres::fresh_database().await).await
    }

    /// On a database that may be away later.
    pub async fn start_on(database_url: &str) -> Self {
        Self::start_with(database_url, Keypair::generate(), evidence_in_new_directory(), None).await
    }

    /// With these settings of evidence.
    pub async fn start_keeping(evidence: EvidenceSettings) -> Self {
        Self::start_with(&postgres::fresh_database().await, Keypair::generate(), evidence, None).await
    }

    /// Another server on the same database, with the key that the agents of `first` have pinned.
    pub async fn start_beside(first: &Self) -> Self {
        let key = Keypair::from_seed(&first.key_seed);
        Self::start_with(&first.database_url, key, first.evidence.clone(), None).await
    }

    /// The real server that runs on `address`, with this database and key: nothing is served from here.
    pub fn of_binary(address: SocketAddr, database_url: &str, key: Keypair, directory: PathBuf) -> Self {
        let key_seed = key.to_seed();
        let store = Store::connect_lazy(database_url).unwrap();
        let url = format!("http://{address}");
        let config = StrikeConfig {
            agent_url: url.clone(),
            webhook_allowance: own_machine(),
            ..StrikeConfig::default()
        };
        Self {
            url,
            address,
            strike: Strike::new(store.clone(), key, config, None, clock::now()),
            operators: Operators::new(store.clone()),
            store,
            database_url: database_url.to_owned(),
            evidence: EvidenceSettings { directory, ..evidence_in_new_directory() },
            key_seed,
            client: new_client(),
            shutdown: CancellationToken::new(),
            handle: Handle::new(),
        }
    }

    /// Hosts can install the packages in this directory.
    pub async fn start_with_packages(packages: PathBuf) -> Self {
        let database = postgres::fresh_database().await;
        Self::start_with(&database, Keypair::generate(), evidence_in_new_directory(), Some(packages)).await
    }

    async fn start_with(
        database_url: &str,
        key: Keypair,
        evidence: EvidenceSettings,
        packages: Option<PathBuf>,
    ) -> Self {
        let key_seed = key.to_seed();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::connect_lazy(database_url).unwrap();
        store.migrate().await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let config = StrikeConfig {
            agent_url: url.clone(),
            evidence: Some(evidence_config(&evidence).unwrap()),
            console_url: Some(url.clone()),
            webhook_allowance: own_machine(),
            ..StrikeConfig::default()
        };
        let strike = Strike::new(store.clone(), key, config, Some(call::caller().unwrap()), clock::now());
        let operators = Operators::new(store.clone());
        let shutdown = CancellationToken::new();
        let state = AppState::from(Shared {
            strike: strike.clone(),
            operators: operators.clone(),
            leptos: LeptosOptions::builder().output_name("voltaxe").site_root("target/site").build(),
            nonces: Nonces::default(),
            places: Places::default(),
            installer: Installer::new(packages, &url.parse().unwrap()),
            behind_proxy: false,
            shutdown: shutdown.clone(),
        });
        let handle = Handle::new();
        let router = routes::everything(&state).layer(axum::Extension(ArrivedAt(address)));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum_server::from_tcp(listener).unwrap().handle(handle.clone());
        tokio::spawn(server.serve(service));
        let telling = strike.clone();
        tokio::spawn(async move {
            loop {
                if telling.tell_changes(clock::now).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        let client = new_client();
        Self {
            url,
            address,
            store,
            strike,
            operators,
            database_url: database_url.to_owned(),
            evidence,
            key_seed,
            client,
            shutdown,
            handle,
        }
    }

    /// Signed in with this role, from the console's own page.
    pub async fn signed_in(&self, role: Role) -> As {
        let username = format!("{role}.tester");
        let password = || SecretString::from(PASSWORD);
        // Made before by an earlier call of the same test.
        let _ = self.operators.create_at_console(&username, role, password(), clock::now()).await;
        let client = [127, 0, 0, 1].into();
        let (session, _) = self.operators.sign_in(&username, password(), client, clock::now()).await.unwrap();
        As::nobody().with("cookie", format!("__Host-voltaxe={}", session.expose()))
    }

    /// A new API token of this role.
    pub async fn token(&self, role: Role) -> As {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let request = ApiTokenRequest { name, role, days: 1 };
        let (secret, _) = self.operators.api_tokens().create_at_console(request, clock::now()).await.unwrap();
        As::default().with("authorization", format!("Bearer {}", secret.expose_secret()))
    }

    pub async fn get(&self, path: &str, who: &As) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.url)), who).await
    }

    pub async fn post(&self, path: &str, who: &As, body: &Value) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).json(body), who).await
    }

    pub async fn request(&self, method: reqwest::Method, path: &str, who: &As, body: &Value) -> Answer {
        self.send(self.client.request(method, format!("{}{path}", self.url)).json(body), who).await
    }

    pub async fn post_raw(
        &self,
        path: &str,
        who: &As,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request =
            self.client.post(format!("{}{path}", self.url)).header("content-type", content_type).body(body);
        self.send(request, who).await
    }

    pub async fn put_raw(&self, path: &str, who: &As, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.client.put(format!("{}{path}", self.url)).body(body), who).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, who: &As) -> Answer {
        self.try_send(request, who).await.unwrap()
    }

    async fn try_send(&self, request: reqwest::RequestBuilder, who: &As) -> reqwest::Result<Answer> {
        let request = who.0.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    /// To a server that may be killed at any moment.
    pub async fn try_request(
        &self,
        method: reqwest::Method,
        path: &str,
        who: &As,
        body: Vec<u8>,
    ) -> reqwest::Result<Answer> {
        self.try_send(self.client.request(method, format!("{}{path}", self.url)).body(body), who).await
    }

    /// Opens a long answer, such as an event stream.
    pub async fn open(&self, path: &str, who: &As) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}{path}", self.url));
        let request = who.0.iter().fold(request, |request, (name, value)| request.header(*name, value));
        request.send().await.unwrap()
    }

    pub async fn enrol_string(&self, uses: i32) -> EnrolString {
        self.strike.create_enrolment_token_at_console("test".to_owned(), uses, clock::now()).await.unwrap().0
    }

    /// A plain connection for looking into the tables.
    pub async fn sql(&self) -> sqlx::PgConnection {
        use sqlx::Connection as _;
        sqlx::PgConnection::connect(&self.database_url).await.unwrap()
    }
}

/// Receivers of the tests are here.
fn own_machine() -> Allowance {
    Allowance(vec!["127.0.0.0/8".parse().unwrap()])
}

fn new_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// Removed with the directory of all tests, at the end of the run.
pub fn evidence_in_new_directory() -> EvidenceSettings {
    EvidenceSettings {
        directory: postgres::run_directory().join(uuid::Uuid::new_v4().simple().to_string()),
        place: EvidencePlace::Directory,
        quota_bytes: 1 << 30,
        keep_free_bytes: 0,
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.handle.shutdown();
    }
}

impl Answer {
    /// The stable word of a problem.
    pub fn problem(&self) -> &str {
        assert_eq!(
            self.headers.get("content-type").and_then(|value| value.to_str().ok()),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.body["type"].as_str().unwrap().strip_prefix("urn:voltaxe:problem:").unwrap()
    }
}

/// Waits until `condition` answers `Some`, for at most 20 s.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited 20 s for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
