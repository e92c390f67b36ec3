use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    EndpointId, EnrolRequest, EnrolResponse, EnrolString, EnrolmentGrant, EnrolmentProof, Envelope, Keypair,
    PayloadType, PublicKey,
};

use super::{
    EnrollArgs, Places,
    executor::{adopt, user_of},
    install_tls_provider,
};
use crate::{
    clock,
    config::{Config, ServerUrl},
    core::RequestFailure,
    identity::{self, Grant, Identity},
    isolation::Applied,
    journal,
    state_dir::StateDir,
    telemetry,
    transport::{HttpClient, ServerAddress, TlsSettings},
};

/// Far longer than any enrol string.
const MAX_STRING_BYTES: u64 = 4096;

pub(super) fn enroll(places: &Places, arguments: &EnrollArgs) -> anyhow::Result<()> {
    install_tls_provider();
    let enrolment = read_enrol_string(&arguments.token_file)?;
    let url: ServerUrl = enrolment
        .server_url
        .parse()
        .map_err(|error| anyhow::anyhow!("the enrol string's address is not usable: {error}"))?;
    let config = places.load_or_default()?;
    if let Some(configured) = &config.api_url
        && *configured != url
    {
        bail!(
            "agent.conf ({}) or VOLTAXE_API_URL says api_url = {configured}, the enrol string is for {url}; set api_url in [server] \
             to {url}, or use an enrol string of {configured}",
            places.config.display()
        );
    }
    let state = match &config.executor_socket {
        Some(_) => StateDir::open_as_root_for(&config.state_dir, user_of(&config)?.uid)?,
        None => StateDir::open(&config.state_dir)?,
    };
    let _lock = state.lock()?;
    let before = identity::read_grant(&state);
    if !arguments.replace
        && let Some(grant) = before?
    {
        bail!(
            "this host is already enrolled as {} ({}) at {}; to make a new key and enrol again, add --replace",
            grant.hostname,
            grant.endpoint_id,
            grant.server_url
        );
    }

    let key = Keypair::generate();
    let grant = ask_server(&config, &url, &state, &enrolment, &key)?;
    if arguments.replace {
        set_old_state_aside(&state, &StateDir::look_at(config.acting_state_dir()))?;
    }
    Identity::store(&state, &key, &grant)
        .with_context(|| format!("the enrolment cannot be stored in {}", state.root().display()))?;
    if config.executor_socket.is_some() {
        adopt(&config, &grant)?;
    }
    let has_written_config = write_config(places, &config, &url)?;
    print_next_steps(places, &grant, has_written_config);
    Ok(())
}

fn read_enrol_string(path: &Path) -> anyhow::Result<EnrolString> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_STRING_BYTES)
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
    } else {
        fs::File::open(path)
            .and_then(|file| file.take(MAX_STRING_BYTES).read_to_string(&mut text))
            .with_context(|| format!("--token-file {} cannot be read", path.display()))?;
    }
    text.parse().map_err(|error| {
        anyhow::anyhow!(
            "--token-file {} holds no enrol string: {error}; copy it whole from the console",
            path.display()
        )
    })
}

fn ask_server(
    config: &Config,
    url: &ServerUrl,
    state: &StateDir,
    enrolment: &EnrolString,
    key: &Keypair,
) -> anyhow::Result<Grant> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let proof = EnrolmentProof {
        token: enrolment.token.clone(),
        nonce: URL_SAFE_NO_PAD.encode(nonce),
        hostname: config.hostname.clone().unwrap_or_else(telemetry::system_hostname),
        machine_id: machine_id(&config.machine_id_file)?,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: telemetry::host_facts(),
    };
    let request = EnrolRequest {
        public_key: key.public().to_base64(),
        envelope: Envelope::seal(PayloadType::EnrolmentProof, &proof, key),
    };
    let tls = TlsSettings::load(config)?;
    let address = Arc::new(ServerAddress::new(url.clone(), state.clone()));
    let http = HttpClient::new(address, &tls)
        .context("HTTPS cannot be set up; install the package ca-certificates or set ca_file in [server]")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let response = runtime.block_on(http.enrol(&request)).map_err(|failure| match failure {
        RequestFailure::Refused { word, detail } if word == "enrolment-token-invalid" => anyhow::anyhow!(
            "the server does not accept the enrolment token ({detail}); tokens work once and for an hour: make a new one in the \
             console"
        ),
        other => anyhow::anyhow!("{other} ({url}); nothing was changed, try again"),
    })?;
    check(&response, enrolment, key, &proof.nonce, url)
}

/// The pin first, then the signature, then the nonce: only then is a word of the answer believed.
fn check(
    response: &EnrolResponse,
    enrolment: &EnrolString,
    key: &Keypair,
    nonce: &str,
    url: &ServerUrl,
) -> anyhow::Result<Grant> {
    let server_key = PublicKey::from_base64(&response.server_key).context("the server sent no usable key")?;
    ensure!(
        server_key.fingerprint() == enrolment.server_key,
        "the server at {url} has the key {}, the enrol string pins {}; this is not the server that made the string, or somebody is \
         in between. Nothing was stored.",
        server_key.fingerprint(),
        enrolment.server_key
    );
    let grant: EnrolmentGrant = response
        .envelope
        .open(PayloadType::EnrolmentGrant, &server_key)
        .context("the server's answer is not signed with its key")?;
    ensure!(grant.nonce == nonce, "the server's answer is to another request; nothing was stored, try again");
    ensure!(
        grant.endpoint_id == EndpointId::of_key(&key.public()),
        "the server's answer is for another key; nothing was stored, try again"
    );
    Ok(Grant {
        endpoint_id: grant.endpoint_id,
        epoch: grant.epoch,
        hostname: grant.hostname,
        server_url: url.to_string(),
        server_key: response.server_key.clone(),
        enrolled_at: clock::wall(),
        awaiting_approval: grant.awaiting_approval,
    })
}

/// Tells machines apart without giving the id away.
fn machine_id(path: &Path) -> anyhow::Result<String> {
    let id = fs::read_to_string(path).with_context(|| {
        format!(
            "the machine id {} cannot be read; make it with systemd-machine-id-setup, or name another file with machine_id_file in \
             [agent] of agent.conf",
            path.display()
        )
    })?;
    let id = id.trim();
    ensure!(
        !id.is_empty() && id != "uninitialized",
        "the machine id {} is empty; make it with systemd-machine-id-setup",
        path.display()
    );
    Ok(hex::encode(Sha256::digest(format!("voltaxe-sentinel machine id\n{id}"))))
}

/// Commands and generations of the old enrolment mean nothing to the new one. What the kernel holds stays.
fn set_old_state_aside(state: &StateDir, acting: &StateDir) -> anyhow::Result<()> {
    let old = state.path(journal::FILE);
    if old.exists() {
        let name = format!("journal.until-{}", clock::wall().format("%Y%m%dT%H%M%SZ"));
        fs::rename(&old, state.path(&name)).context("the old enrolment's journal cannot be set aside")?;
    }
    if let Some(mut applied) = Applied::read(acting).unwrap_or_default() {
        applied.generation = voltaxe_protocol::CommandId(0);
        applied.ended = None;
        acting.write_json("isolation.json", &applied).context("isolation.json cannot be written")?;
    }
    state.sync().context("the state directory cannot be written")
}

/// Whether a file was written.
fn write_config(places: &Places, config: &Config, url: &ServerUrl) -> anyhow::Result<bool> {
    if places.has_config() {
        if config.api_url.is_some() {
            return Ok(false);
        }
        let written = || fs::write(&places.config, with_server(&fs::read_to_string(&places.config)?, url));
        written().with_context(|| {
            format!(
                "this host is enrolled, but {} names no server and cannot be written; add to its [server] section: api_url = {url}",
                places.config.display()
            )
        })?;
        return Ok(true);
    }
    let written = || -> io::Result<()> {
        if let Some(directory) = places.config.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut text = Config::template(url);
        if let Some(path) = &places.state_dir {
            text += &format!("\n[agent]\nstate_dir = {}\n", std::path::absolute(path)?.display());
        }
        fs::write(&places.config, text)
    };
    written().with_context(|| {
        format!(
            "this host is enrolled, but {} cannot be written; write it yourself:\n{}",
            places.config.display(),
            Config::template(url)
        )
    })?;
    Ok(true)
}

/// A configuration without a server, such as the one that a package puts there, with it.
fn with_server(text: &str, url: &ServerUrl) -> String {
    let line = format!("api_url = {url}\n");
    let text = format!("{}\n", text.trim_end());
    match text.split_inclusive('\n').position(|line| line.trim() == "[server]") {
        None => format!("{text}\n[server]\n{line}"),
        Some(section) => {
            let mut lines: Vec<_> = text.split_inclusive('\n').collect();
            lines.insert(section + 1, &line);
            lines.concat()
        }
    }
}

fn print_next_steps(places: &Places, grant: &Grant, has_written_config: bool) {
    println!("Enrolled as {} at {}.", grant.hostname, grant.server_url);
    println!("Endpoint id: {}", grant.endpoint_id);
    if has_written_config {
        println!("Configuration written to {}.", places.config.display());
    }
    if grant.awaiting_approval {
        println!(
            "This machine was enrolled before with another key: an administrator must approve it in the console first."
        );
    }
    println!(
        "Next: start the agent with `systemctl enable --now voltaxe-sentinel`, or in the foreground with"
    );
    println!("  voltaxe-sentinel run --config {}", places.config.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_server_gets_one() {
        let url: ServerUrl = "http://10.77.0.1:8080".parse().unwrap();
        for before in
            ["", "[agent]\nlog_level = debug\n", "[server]\n# ca_file = /a\n[agent]\nlog_level = debug\n"]
        {
            let after = with_server(before, &url);
            let config = Config::parse(&after, |_| None).unwrap();
            assert_eq!(config.api_url.as_ref(), Some(&url), "{after}");
            assert_eq!(before.contains("debug"), config.log_level == tracing::Level::DEBUG, "{after}");
        }
    }
}
