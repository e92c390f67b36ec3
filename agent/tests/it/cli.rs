//! `enroll`, `status`, configuration and bad input, as a person meets them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use voltaxe_protocol::Keypair;

use crate::{
    agent::Host,
    gateway::{Gateway, TOKEN},
    net::{PORT, SERVER, World},
};

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "it worked: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn enrolling_stores_a_private_key_and_says_what_is_next() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::new(&world);
    let output = host.enroll(&gateway.enrol_string(), &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("Enrolled as web-01") && said.contains("Endpoint id: ep_") && said.contains("Next: "),
        "{said}"
    );
    assert!(!said.contains(TOKEN));
    let mode = |name: &str| fs::metadata(host.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/agent.key"), mode("state/identity.json")), (0o700, 0o600, 0o600));

    let again = complaint(&host.enroll(&gateway.enrol_string(), &[]));
    assert!(again.contains("already enrolled as web-01") && again.contains("--replace"), "{again}");
    let used = complaint(&host.enroll(&gateway.enrol_string(), &["--replace"]));
    assert!(
        used.contains("does not accept the enrolment token") && used.contains("make a new one"),
        "{used}"
    );
    gateway.state().is_token_used = false;
    let before = fs::read(host.path("state/agent.key")).unwrap();
    assert!(host.enroll(&gateway.enrol_string(), &["--replace"]).status.success());
    assert_ne!(fs::read(host.path("state/agent.key")).unwrap(), before);
}

#[test]
fn enrolling_writes_a_missing_configuration() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::new(&world);
    fs::remove_file(host.path("agent.conf")).unwrap();
    let output = host.enroll(&gateway.enrol_string(), &["--state-dir", host.path("other").to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = fs::read_to_string(host.path("agent.conf")).unwrap();
    assert!(written.contains(&format!("api_url = http://{}:{PORT}\n", SERVER[0])), "{written}");
    assert!(written.contains(&format!("state_dir = {}\n", host.path("other").display())), "{written}");
    assert_eq!(host.status()["enrolment"]["server_url"], format!("http://{}:{PORT}", SERVER[0]));
}

#[test]
fn another_server_than_the_pinned_one_gets_no_agent() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let host = Host::new(&world);
    let pin = Keypair::generate().public().fingerprint();
    let wrong = format!("vxe1.{TOKEN}.{pin}@http://{}:{PORT}", SERVER[0]);
    let said = complaint(&host.enroll(&wrong, &[]));
    assert!(said.contains("the enrol string pins") && said.contains("Nothing was stored"), "{said}");
    gateway.state().is_token_used = false;
    gateway.state().answers_with_wrong_nonce = true;
    let said = complaint(&host.enroll(&gateway.enrol_string(), &[]));
    assert!(said.contains("to another request"), "{said}");
    assert!(!host.path("state/agent.key").exists());
    assert!(host.status()["enrolment"].is_null());
}

#[test]
fn bad_input_is_named() {
    let world = World::new();
    let mut gateway = Gateway::start(&world);
    let mut host = Host::new(&world);
    let said = complaint(&host.enroll("vxe2.something", &[]));
    assert!(said.contains("does not start with vxe1.") && !said.contains("something"), "{said}");
    let elsewhere = gateway.enrol_string().replace(":8080", ":9090");
    let said = complaint(&host.enroll(&elsewhere, &[]));
    assert!(
        said.contains("says api_url = http://10.77.0.1:8080") && said.contains("set api_url in [server]"),
        "{said}"
    );
    gateway.down();
    let said = complaint(&host.enroll(&gateway.enrol_string(), &[]));
    assert!(said.contains("cannot be reached") && said.contains("nothing was changed"), "{said}");

    let run = |host: &Host<'_>| complaint(&host.command(&["run"]).output().unwrap());
    assert!(run(&host).contains("not enrolled"));
    host.configure("[polling]\nintervall = 3\n");
    let said = run(&host);
    assert!(said.contains("unknown key `intervall` in [polling]") && said.contains("known here"), "{said}");
    host.configure("");
    let said = complaint(&host.command(&["run"]).env("COMMAND_POLL_ENABLED", "maybe").output().unwrap());
    assert!(said.contains("the variable COMMAND_POLL_ENABLED is \"maybe\""), "{said}");
    fs::remove_file(host.path("agent.conf")).unwrap();
    assert!(run(&host).contains("`voltaxe-sentinel enroll` writes one"));
    host.configure("");

    gateway.up();
    assert!(host.enroll(&gateway.enrol_string(), &[]).status.success());
    host.start();
    gateway.wait_live();
    assert!(run(&host).contains("another voltaxe-sentinel works on"));
    let said = complaint(&host.enroll(&gateway.enrol_string(), &["--replace"]));
    assert!(said.contains("stop it first"), "{said}");
}

#[test]
fn status_tells_what_is_going_on() {
    let world = World::new();
    let gateway = Gateway::start(&world);
    let mut host = Host::new(&world);
    let text =
        |host: &Host<'_>| String::from_utf8(host.command(&["status"]).output().unwrap().stdout).unwrap();
    assert!(text(&host).contains("Enrolment:    none"));
    assert!(host.enroll(&gateway.enrol_string(), &[]).status.success());
    host.start();
    gateway.wait_live();
    crate::net::eventually("status knows of the contact", || text(&host).contains("by stream").then_some(()));
    let said = text(&host);
    for part in
        ["(running)", "web-01 (ep_", "not isolated, read from the kernel now", "0 unfinished, 0 unreported"]
    {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert!(host.stop().success());
    assert!(text(&host).contains("(not running)"));
}
