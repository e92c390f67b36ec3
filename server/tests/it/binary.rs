//! The real binary: how it starts, is administered, dies and stops.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use crate::harness::{
    postgres::{Sweeper, new_directory},
    until,
};

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

fn command(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voltaxe-server"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg("--state-dir").arg(state).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub async fn start(state: &Path, more: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child =
            command(state).args(["--listen", &address.to_string()]).args(more).arg("serve").spawn().unwrap();
        // Read to the end, or the server would block on a full pipe.
        let log = BufReader::new(child.stderr.take().unwrap());
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut send = Some(send);
            let mut lines = String::new();
            for line in log.lines().map_while(Result::ok) {
                lines += &line;
                lines.push('\n');
                if line.contains("ready: ") {
                    send.take().map(|send| send.send(Ok(())));
                }
            }
            send.take().map(|send| send.send(Err(lines)));
        });
        let ready =
            tokio::time::timeout(Duration::from_secs(60), receive).await.expect("ready within 60 s").unwrap();
        ready.expect("the server is ready");
        Self { child, address }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        until("the server to end", || {
            let status = self.child.try_wait().unwrap();
            async move { status }
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn admin(state: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command(state).arg("admin").args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

async fn status(url: &str) -> Option<u16> {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .ok()
        .map(|r| r.status().as_u16())
}

#[tokio::test]
async fn it_starts_is_administered_beside_and_stops_in_order() {
    let state = new_directory();
    let _sweeper = Sweeper::start(&state.join("postgres"));
    let mut server = Server::start(&state, &[]).await;
    assert_eq!(status(&format!("http://{}/readyz", server.address)).await, Some(200));

    let link = admin(&state, &["setup-link"], "");
    assert!(text(&link.stdout).contains("/setup#token="), "{link:?}");
    let made = admin(
        &state,
        &["create-operator", "--username", "ann", "--role", "admin", "--password-file", "-"],
        "correct horse battery staple\n",
    );
    assert!(made.status.success(), "{made:?}");
    let again = admin(&state, &["setup-link"], "");
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("reset-password"), "names the fix: {again:?}");
    let weak = admin(&state, &["reset-password", "--username", "ann", "--password-file", "-"], "short\n");
    assert!(text(&weak.stderr).contains("password: must be 12 to 256 characters"), "{weak:?}");
    let nobody = admin(
        &state,
        &["reset-password", "--username", "bob", "--password-file", "-"],
        "correct horse battery staple\n",
    );
    assert!(text(&nobody.stderr).contains("there is no operator bob"), "{nobody:?}");
    let token = admin(&state, &["enrolment-token", "--label", "test", "--uses", "2"], "");
    assert!(text(&token.stdout).starts_with("vxe1."), "{token:?}");
    let endpoints = admin(&state, &["list-endpoints", "--json"], "");
    assert_eq!(text(&endpoints.stdout).trim(), "[]");
    let ticket = admin(&state, &["release-ticket", "--host", "web-99", "--reason", "on the phone"], "");
    assert!(text(&ticket.stderr).contains("web-99"), "{ticket:?}");

    server.signal("-TERM");
    assert!(server.ended().await.success());
    assert!(!state.join("postgres/data/postmaster.pid").exists(), "its Postgres stopped in order");
    let endpoints = admin(&state, &["list-endpoints"], "");
    assert!(
        text(&endpoints.stdout).contains("no endpoints yet"),
        "works without a server as well: {endpoints:?}"
    );
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_that_stops_the_next_one() {
    let state = new_directory();
    let _sweeper = Sweeper::start(&state.join("postgres"));
    let mut first = Server::start(&state, &[]).await;
    let made = admin(
        &state,
        &["create-operator", "--username", "ann", "--role", "viewer", "--password-file", "-"],
        "correct horse battery staple\n",
    );
    assert!(made.status.success(), "{made:?}");
    first.signal("-KILL");
    first.ended().await;
    assert!(state.join("postgres/data/postmaster.pid").exists(), "its Postgres goes on without it");
    let mut second = Server::start(&state, &[]).await;
    let again = admin(&state, &["setup-link"], "");
    assert!(!again.status.success(), "the operator is still there");
    second.signal("-TERM");
    assert!(second.ended().await.success());
}

#[tokio::test]
async fn settings_that_cannot_work_are_named_with_their_fix() {
    let state = new_directory();
    let run = |args: &[&str]| {
        let output = command(&state).args(args).arg("serve").output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    assert!(run(&["--listen", "0.0.0.0:8080"]).contains("behind-proxy"));
    assert!(run(&["--listen", "nonsense"]).contains("--listen"));
    assert!(run(&["--tls-cert", "cert.pem"]).contains("tls-key"));
    assert!(run(&["--config", "/nonexistent.toml"]).contains("/nonexistent.toml"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(run(&["--listen", &taken.local_addr().unwrap().to_string()]).contains("in use"));
    let file = state.join("server.toml");
    std::fs::write(&file, "lisen = [\"127.0.0.1:1\"]\n").unwrap();
    let unknown = run(&["--config", file.to_str().unwrap()]);
    assert!(unknown.contains("lisen"), "{unknown}");
    std::fs::remove_dir_all(&state).unwrap();
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_not_plain_http() {
    let state = new_directory();
    let _sweeper = Sweeper::start(&state.join("postgres"));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (state.join("cert.pem"), state.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::start(
        &state,
        &["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()],
    )
    .await;
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let answer = client.get(format!("https://{}/readyz", server.address)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(status(&format!("http://{}/readyz", server.address)).await, None);
    let mut plain = std::net::TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!text(&answer).contains("ready"));
}
