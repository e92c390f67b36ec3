//! `GET /install.sh` and `GET /packages/{file}`, and the script that they serve, run by a real shell against a real server.

mod shell;

use std::fs;

use sha2::{Digest as _, Sha256};
use voltaxe_app::model::Package;
use voltaxe_orchestrator::authority::Role;

use self::shell::{Bench, PACKAGES};
use crate::harness::{As, TestServer};

const SCRIPT: &str = "/install.sh";

async fn served(server: &TestServer, path: &str) -> String {
    let response = server.open(path, &As::default()).await;
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn without_packages_there_is_nothing_to_install() {
    let server = TestServer::start().await;
    for path in [SCRIPT, "/packages/SHA256SUMS", "/packages/anything.deb"] {
        let answer = server.get(path, &As::default()).await;
        assert_eq!((answer.status, answer.problem()), (404, "not-found"), "{path}");
        assert!(answer.body["detail"].as_str().unwrap().contains("--packages-dir"), "{answer:?}");
    }
    let command = enrol_command(&server).await;
    assert!(command.ends_with("| sudo voltaxe-sentinel enroll --token-file -"), "{command}");
}

#[tokio::test]
async fn the_installer_pins_the_list_and_the_list_the_packages() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let response = server.open(SCRIPT, &As::default()).await;
    assert_eq!(response.headers()["content-type"], "text/x-shellscript; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let script = response.text().await.unwrap();
    assert!(script.contains(&format!("URL='{}'", server.url)));
    let list = served(&server, "/packages/SHA256SUMS").await;
    assert!(script.contains(&format!("SUMS_SHA256='{}'", sha256(list.as_bytes()))));
    for name in PACKAGES {
        let bytes = server.open(&format!("/packages/{name}"), &As::default()).await.bytes().await.unwrap();
        assert!(list.contains(&format!("{}  {name}\n", sha256(&bytes))), "{name}");
    }
    let command = enrol_command(&server).await;
    assert!(command.contains(&sha256(script.as_bytes())), "{command}");
}

#[tokio::test]
async fn only_what_the_list_names_is_served() {
    let bench = Bench::new();
    fs::write(bench.packages().join("notes.txt"), "not for everybody").unwrap();
    fs::write(bench.packages().parent().unwrap().join("outside"), "outside").unwrap();
    let server = TestServer::start_with_packages(bench.packages()).await;
    for name in
        ["notes.txt", "..%2Foutside", "%2e%2e%2Foutside", ".", "%00", "SHA256SUMS%2F..%2F..%2Foutside"]
    {
        let answer = server.get(&format!("/packages/{name}"), &As::default()).await;
        assert_eq!(answer.status, 404, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let script = served(&server, SCRIPT).await;
    let output = bench.run(&script, &["--dry-run", "--format", "tar", "--token-file", "-"]).await;
    assert!(output.worked, "{output:?}");
    for part in
        ["would install voltaxe-sentinel-0.1.0-x86_64.tar.gz", "enrol this host", "nothing was changed"]
    {
        assert!(output.said.contains(part), "{part} is missing in {output:?}");
    }
    assert_eq!(bench.called(&["dpkg", "rpm", "tar", "systemctl"]), "");
    assert_eq!(bench.called(&["voltaxe-sentinel"]), "voltaxe-sentinel --version\n");
}

#[tokio::test]
async fn a_package_is_put_into_an_image() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let script = served(&server, SCRIPT).await;
    let image = bench.image();
    bench.with_real_tar();
    for _upgrade in 0..2 {
        let output = bench.run(&script, &["--format", "tar", "--root", &image]).await;
        assert!(output.worked && output.said.contains("enrol and start it on the host itself"), "{output:?}");
    }
    assert_eq!(fs::read_to_string(format!("{image}/usr/bin/voltaxe-sentinel")).unwrap(), "the agent\n");
    assert!(fs::exists(format!("{image}/usr/lib/voltaxe-sentinel/setup")).unwrap());
    assert_eq!(bench.called(&["systemctl", "voltaxe-sentinel"]), "");
}

#[tokio::test]
async fn altered_packages_are_not_installed() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let script = served(&server, SCRIPT).await;
    let image = bench.image();
    let arguments = ["--format", "tar", "--root", &image];
    fs::write(bench.packages().join("voltaxe-sentinel-0.1.0-x86_64.tar.gz"), "altered").unwrap();
    let output = bench.run(&script, &arguments).await;
    assert!(!output.worked && output.said.contains("is not what the server's list says"), "{output:?}");

    let list = bench.packages().join("SHA256SUMS");
    let altered = fs::read_to_string(&list).unwrap() + "\n";
    fs::write(&list, altered).unwrap();
    let output = bench.run(&script, &arguments).await;
    assert!(!output.worked && output.said.contains("copy a new command from the console"), "{output:?}");
    assert_eq!(fs::read_dir(&image).unwrap().count(), 0, "the image was touched");
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_its_fix() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let script = served(&server, SCRIPT).await;
    let complaint = async |arguments: &[&str]| {
        let output = bench.run(&script, arguments).await;
        assert!(
            !output.worked && output.said.contains("error: ") && output.said.contains("\n  fix: "),
            "{output:?}"
        );
        output.said
    };
    assert!(complaint(&["--dryrun"]).await.contains("there is no option --dryrun"));
    assert!(complaint(&["--format"]).await.contains("--format has no value"));
    assert!(complaint(&["--format", "exe"]).await.contains("none of deb, rpm and tar"));
    assert!(complaint(&["--root", "relative"]).await.contains("not an absolute path"));
    assert!(complaint(&["--root", "/nowhere/at/all"]).await.contains("is no directory"));
    assert!(complaint(&["--token-file", "/nowhere"]).await.contains("cannot be read"));
    assert!(complaint(&["--token-file", "-"]).await.contains("no enrol string"));
    assert!(complaint(&["--dry-run", "--format", "rpm"]).await.contains("no rpm package for x86_64"));

    bench.stub("uname", "case $1 in -s) echo Linux ;; -m) echo riscv64 ;; esac");
    assert!(complaint(&["--dry-run"]).await.contains("no agent for the architecture riscv64"));
    bench.stub("uname", "echo FreeBSD");
    assert!(complaint(&["--dry-run"]).await.contains("this is FreeBSD"));
    bench.stub("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac");
    bench.stub("id", "echo 1000");
    assert!(complaint(&[]).await.contains("needs root"));
    drop(server);
    assert!(complaint(&["--dry-run", "--format", "tar"]).await.contains("cannot be downloaded"));
}

/// The line that the page shows, from its beginning to an enrolled agent, with stand-ins for what would change this host.
#[tokio::test]
async fn the_enrol_command_installs_enrols_and_starts() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let command = enrol_command(&server).await;
    let secret = command.split('\'').nth(1).unwrap().to_owned();
    let output = bench.run_line(&command).await;
    assert!(output.worked, "{output:?}");
    assert!(bench.called(&["dpkg"]).contains("--install"), "{output:?}");
    let enrolled = bench.called(&["voltaxe-sentinel"]);
    assert!(enrolled.contains("voltaxe-sentinel enroll --token-file -"), "{enrolled}");
    assert_eq!(bench.read("stdin-of-voltaxe-sentinel"), secret);
    assert!(!bench.called(&[]).contains(&secret), "the secret was an argument");
    assert_eq!(bench.left_behind(), Vec::<String>::new());

    bench.forget();
    let other = command.replace("| sha256sum", "| sed s/^./x/ | sha256sum");
    let output = bench.run_line(&other).await;
    assert!(!output.worked, "{output:?}");
    assert_eq!(bench.called(&["dpkg", "tar", "voltaxe-sentinel"]), "");
}

#[tokio::test]
async fn a_download_that_breaks_off_does_nothing() {
    let bench = Bench::new();
    let server = TestServer::start_with_packages(bench.packages()).await;
    let script = served(&server, SCRIPT).await;
    let cuts: Vec<_> = (0..script.trim_end().len()).filter(|at| script.is_char_boundary(*at)).collect();
    let mut at_once = tokio::task::JoinSet::new();
    for part in cuts.chunks(cuts.len().div_ceil(4)) {
        let cut_off: Vec<_> = part.iter().map(|at| script[..*at].to_owned()).collect();
        let alone = bench.alone();
        at_once.spawn_blocking(move || cut_off.iter().for_each(|script| alone.pipe_into_shell(script)));
    }
    while let Some(done) = at_once.join_next().await {
        done.unwrap();
    }
    assert_eq!(bench.called(&[]), "", "something ran");
    bench.alone().pipe_into_shell(&script);
    assert!(bench.called(&["uname"]).contains("uname"), "the whole script ran nothing either");
}

async fn enrol_command(server: &TestServer) -> String {
    let admin = server.signed_in(Role::Admin).await;
    let body = serde_json::json!({ "label": "", "uses": 1, "seconds": 3600 });
    let answer = server.post("/rpc/create_enrolment_token", &admin, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let made: voltaxe_app::model::EnrolmentToken = serde_json::from_value(answer.body).unwrap();
    made.enrol_command(Package::Chosen)
}
