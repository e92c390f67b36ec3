//! Settings: from a TOML file, the environment and the command line, the later ones winning; checked once.

mod evidence;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use voltaxe_orchestrator::delivery::Strategy;

pub use self::evidence::{EvidencePlace, EvidenceSettings, S3};

/// What can be set, as it was written. Everything is optional.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A TOML file with these settings, named as the flags with `_` for `-`.
    #[arg(long, env = "VOLTAXE_CONFIG", value_name = "FILE", global = true)]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where the server keeps its key and its database [default: /var/lib/voltaxe as root, else
    /// ~/.local/state/voltaxe].
    #[arg(long, env = "VOLTAXE_STATE_DIR", value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,

    /// A Postgres to use instead of the embedded one. May hold a password: set it in the environment or the file.
    #[arg(skip)]
    pub database_url: Option<SecretString>,

    /// Addresses of the console and of the gateway, with commas [default: 127.0.0.1:8080].
    #[arg(long, env = "VOLTAXE_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',', global = true)]
    pub listen: Option<Vec<SocketAddr>>,

    /// Further addresses that serve the gateway alone, for networks that agents are on.
    #[arg(
        long,
        env = "VOLTAXE_AGENT_LISTEN",
        value_name = "ADDR:PORT",
        value_delimiter = ',',
        global = true
    )]
    pub agent_listen: Option<Vec<SocketAddr>>,

    /// Where agents reach this server, now and soon, with commas: isolated hosts keep these open. Name a new address here before
    /// the server moves to it [default: the address that each agent's request arrives at].
    #[arg(long, env = "VOLTAXE_ANNOUNCE", value_name = "ADDR:PORT", value_delimiter = ',', global = true)]
    pub announce: Option<Vec<SocketAddr>>,

    /// Where operators' browsers reach the console [default: the first listen address].
    #[arg(long, env = "VOLTAXE_PUBLIC_URL", value_name = "URL", global = true)]
    pub public_url: Option<Url>,

    /// Where agents reach the gateway; enrol strings carry it [default: the first agent-listen address, else the
    /// public URL].
    #[arg(long, env = "VOLTAXE_AGENT_URL", value_name = "URL", global = true)]
    pub agent_url: Option<Url>,

    /// PEM file with the certificate chain; turns TLS on, together with --tls-key.
    #[arg(long, env = "VOLTAXE_TLS_CERT", value_name = "FILE", global = true)]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's key.
    #[arg(long, env = "VOLTAXE_TLS_KEY", value_name = "FILE", global = true)]
    pub tls_key: Option<PathBuf>,

    /// Serve the console over plain HTTP on addresses other than loopback: for a proxy that adds TLS.
    #[arg(long, env = "VOLTAXE_BEHIND_PROXY", global = true, num_args = 0..=1, default_missing_value = "true")]
    pub behind_proxy: Option<bool>,

    /// An address that serves /metrics, to anybody who reaches it: for a monitoring system [default: none].
    #[arg(long, env = "VOLTAXE_METRICS_LISTEN", value_name = "ADDR:PORT", global = true)]
    pub metrics_listen: Option<SocketAddr>,

    /// Call agents that have no stream and say that they can be called; never behind a proxy [default: true].
    #[arg(long, env = "VOLTAXE_DIRECT", global = true, num_args = 0..=1, default_missing_value = "true")]
    pub direct: Option<bool>,

    /// In which order a host gets what waits for it: `priority` or `fifo` [default: priority].
    #[arg(long, env = "VOLTAXE_QUEUE_STRATEGY", value_name = "STRATEGY", global = true)]
    pub queue_strategy: Option<QueueStrategy>,

    /// Where the dashboard's built files are [default: target/site].
    #[arg(long, env = "LEPTOS_SITE_ROOT", value_name = "DIR", global = true)]
    pub site_root: Option<PathBuf>,

    /// The agent's packages and their SHA256SUMS, as `make package` leaves them: new hosts install from here
    /// [default: none].
    #[arg(long, env = "VOLTAXE_PACKAGES_DIR", value_name = "DIR", global = true)]
    pub packages_dir: Option<PathBuf>,

    /// Days for which final commands are kept [default: 90].
    #[arg(long, env = "VOLTAXE_HISTORY_DAYS", value_name = "DAYS", global = true)]
    pub history_days: Option<u64>,

    /// Days for which telemetry samples are kept [default: 7].
    #[arg(long, env = "VOLTAXE_TELEMETRY_DAYS", value_name = "DAYS", global = true)]
    pub telemetry_days: Option<u64>,

    /// Seconds between two telemetry messages of an agent [default: 15].
    #[arg(long, env = "VOLTAXE_TELEMETRY_INTERVAL", value_name = "SECONDS", global = true)]
    pub telemetry_interval_seconds: Option<u32>,

    /// Where evidence is kept, and gathers while it is uploaded [default: evidence in the state directory].
    #[arg(long, env = "VOLTAXE_EVIDENCE_DIR", value_name = "DIR", global = true)]
    pub evidence_dir: Option<PathBuf>,

    /// GiB of evidence that are kept at most; what does not fit is refused [default: 20].
    #[arg(long, env = "VOLTAXE_EVIDENCE_QUOTA_GIB", value_name = "GIB", global = true)]
    pub evidence_quota_gib: Option<u64>,

    /// Keep whole bundles in this bucket of a service that speaks S3. Its secret is set in the environment
    /// (VOLTAXE_EVIDENCE_S3_SECRET_ACCESS_KEY) or the file.
    #[arg(long, env = "VOLTAXE_EVIDENCE_S3_BUCKET", value_name = "NAME", global = true)]
    pub evidence_s3_bucket: Option<String>,

    /// Where the service is [default: Amazon's, in the region].
    #[arg(long, env = "VOLTAXE_EVIDENCE_S3_ENDPOINT", value_name = "URL", global = true)]
    pub evidence_s3_endpoint: Option<Url>,

    /// The bucket's region [default: us-east-1].
    #[arg(long, env = "VOLTAXE_EVIDENCE_S3_REGION", value_name = "NAME", global = true)]
    pub evidence_s3_region: Option<String>,

    /// Who the server is for the service.
    #[arg(long, env = "VOLTAXE_EVIDENCE_S3_ACCESS_KEY_ID", value_name = "ID", global = true)]
    pub evidence_s3_access_key_id: Option<String>,

    #[arg(skip)]
    pub evidence_s3_secret_access_key: Option<SecretString>,

    /// Networks that webhooks may go to although they are not public, and over plain HTTP; repeat the flag, or commas
    /// [default: none].
    #[arg(
        long,
        env = "VOLTAXE_WEBHOOK_ALLOW_NETWORK",
        value_name = "CIDR",
        value_delimiter = ',',
        global = true
    )]
    pub webhook_allow_network: Option<Vec<IpNet>>,

    /// `text` or `json` [default: text].
    #[arg(long, env = "VOLTAXE_LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum QueueStrategy {
    /// Isolate and restore before everything else, then by age.
    #[default]
    Priority,
    /// By age alone.
    Fifo,
}

impl From<QueueStrategy> for Strategy {
    fn from(strategy: QueueStrategy) -> Self {
        match strategy {
            QueueStrategy::Priority => Self::Priority,
            QueueStrategy::Fifo => Self::Fifo,
        }
    }
}

/// Checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    pub state_dir: PathBuf,
    /// `None`: the embedded Postgres.
    pub database_url: Option<SecretString>,
    pub listen: Vec<SocketAddr>,
    pub agent_listen: Vec<SocketAddr>,
    /// Empty: what each agent's request arrives at.
    pub announce: Vec<SocketAddr>,
    pub public_url: Url,
    pub agent_url: Url,
    pub tls: Option<Tls>,
    pub behind_proxy: bool,
    pub metrics_listen: Option<SocketAddr>,
    /// Whether agents are called.
    pub direct: bool,
    pub queue_strategy: Strategy,
    pub site_root: PathBuf,
    pub packages_dir: Option<PathBuf>,
    pub history_days: u64,
    pub telemetry_days: u64,
    pub telemetry_interval_seconds: u32,
    pub log_format: LogFormat,
    pub evidence: EvidenceSettings,
    /// Where webhooks may go besides public addresses.
    pub webhook_networks: Vec<IpNet>,
}

#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Config {
    pub fn load(given: &Settings) -> anyhow::Result<Self> {
        let file = given.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let database_url = std::env::var("DATABASE_URL").ok().map(SecretString::from);
        let s3_secret = std::env::var("VOLTAXE_EVIDENCE_S3_SECRET_ACCESS_KEY").ok().map(SecretString::from);
        Self::resolve(given.clone().or(file), database_url, s3_secret)
    }

    /// `database_url`, `s3_secret`: from the environment; they win over the file's.
    pub fn resolve(
        set: Settings,
        database_url: Option<SecretString>,
        s3_secret: Option<SecretString>,
    ) -> anyhow::Result<Self> {
        let state_dir = set.state_dir.clone().map_or_else(default_state_dir, Ok)?;
        let evidence = EvidenceSettings::resolve(&set, &state_dir, s3_secret)?;
        let listen = match set.listen {
            Some(addresses) if addresses.is_empty() => bail!("listen is empty: name at least one ADDR:PORT"),
            Some(addresses) => addresses,
            None => vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
        };
        let agent_listen = set.agent_listen.unwrap_or_default();
        let announce = set.announce.unwrap_or_default();
        if let Some(address) =
            announce.iter().find(|address| address.ip().is_unspecified() || address.port() == 0)
        {
            bail!(
                "announce has {address}, which nobody can connect to: name an address and a port of this server"
            );
        }
        let tls = match (set.tls_cert, set.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => bail!("tls-cert is set and tls-key is not: set both, or neither"),
            (None, Some(_)) => bail!("tls-key is set and tls-cert is not: set both, or neither"),
        };
        let open = listen.iter().find(|address| !address.ip().is_loopback());
        let behind_proxy = set.behind_proxy.unwrap_or(false);
        if let (Some(address), None, false) = (open, &tls, behind_proxy) {
            bail!(
                "listen has {address}, which is not loopback, and TLS is off: passwords would cross the network in the \
                 clear. Set tls-cert and tls-key, or behind-proxy if a proxy adds TLS, or listen on 127.0.0.1"
            );
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let default_url = |address: &SocketAddr| {
            Url::parse(&format!("{scheme}://{address}")).context("a listen address makes no URL")
        };
        let public_url = match set.public_url {
            Some(url) => url,
            None => default_url(&listen[0])?,
        };
        let agent_url = match (set.agent_url, agent_listen.first()) {
            (Some(url), _) => url,
            (None, Some(address)) => default_url(address)?,
            (None, None) => public_url.clone(),
        };
        for (name, url) in [("public-url", &public_url), ("agent-url", &agent_url)] {
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.path() != "/" {
                bail!("{name} must be http:// or https:// with a host and no path; it is {url}");
            }
        }
        let telemetry_interval_seconds = set.telemetry_interval_seconds.unwrap_or(15);
        if !(1..=3600).contains(&telemetry_interval_seconds) {
            bail!("telemetry-interval-seconds must be 1 to 3600; it is {telemetry_interval_seconds}");
        }
        let days = |name, value: Option<u64>, default| match value.unwrap_or(default) {
            days @ 1..=3650 => Ok(days),
            days => Err(anyhow::anyhow!("{name} must be 1 to 3650; it is {days}")),
        };
        Ok(Self {
            state_dir,
            evidence,
            database_url: database_url.or(set.database_url),
            listen,
            agent_listen,
            announce,
            public_url,
            agent_url,
            tls,
            behind_proxy,
            metrics_listen: set.metrics_listen,
            direct: set.direct.unwrap_or(true) && !behind_proxy,
            queue_strategy: set.queue_strategy.unwrap_or_default().into(),
            site_root: set.site_root.unwrap_or_else(|| PathBuf::from("target/site")),
            packages_dir: set.packages_dir,
            history_days: days("history-days", set.history_days, 90)?,
            telemetry_days: days("telemetry-days", set.telemetry_days, 7)?,
            telemetry_interval_seconds,
            log_format: set.log_format.unwrap_or_default(),
            webhook_networks: set.webhook_allow_network.unwrap_or_default(),
        })
    }

    /// Scheme, host and port, without a trailing slash.
    #[must_use]
    pub fn agent_origin(&self) -> String {
        self.agent_url.as_str().trim_end_matches('/').to_owned()
    }
}

impl Settings {
    fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            state_dir: self.state_dir.or(file.state_dir),
            database_url: self.database_url.or(file.database_url),
            listen: self.listen.or(file.listen),
            agent_listen: self.agent_listen.or(file.agent_listen),
            announce: self.announce.or(file.announce),
            public_url: self.public_url.or(file.public_url),
            agent_url: self.agent_url.or(file.agent_url),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            behind_proxy: self.behind_proxy.or(file.behind_proxy),
            metrics_listen: self.metrics_listen.or(file.metrics_listen),
            direct: self.direct.or(file.direct),
            queue_strategy: self.queue_strategy.or(file.queue_strategy),
            site_root: self.site_root.or(file.site_root),
            packages_dir: self.packages_dir.or(file.packages_dir),
            history_days: self.history_days.or(file.history_days),
            telemetry_days: self.telemetry_days.or(file.telemetry_days),
            telemetry_interval_seconds: self.telemetry_interval_seconds.or(file.telemetry_interval_seconds),
            evidence_dir: self.evidence_dir.or(file.evidence_dir),
            evidence_quota_gib: self.evidence_quota_gib.or(file.evidence_quota_gib),
            evidence_s3_bucket: self.evidence_s3_bucket.or(file.evidence_s3_bucket),
            evidence_s3_endpoint: self.evidence_s3_endpoint.or(file.evidence_s3_endpoint),
            evidence_s3_region: self.evidence_s3_region.or(file.evidence_s3_region),
            evidence_s3_access_key_id: self.evidence_s3_access_key_id.or(file.evidence_s3_access_key_id),
            evidence_s3_secret_access_key: self
                .evidence_s3_secret_access_key
                .or(file.evidence_s3_secret_access_key),
            webhook_allow_network: self.webhook_allow_network.or(file.webhook_allow_network),
            log_format: self.log_format.or(file.log_format),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the config file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the config file {} is not valid", path.display()))
}

fn default_state_dir() -> anyhow::Result<PathBuf> {
    if std::env::var_os("USER").is_some_and(|user| user == "root") || std::env::var_os("HOME").is_none() {
        return Ok(PathBuf::from("/var/lib/voltaxe"));
    }
    let home = std::env::var_os("HOME").context("neither HOME nor VOLTAXE_STATE_DIR is set: set one")?;
    let home = PathBuf::from(home);
    Ok(if home == Path::new("/root") {
        PathBuf::from("/var/lib/voltaxe")
    } else {
        home.join(".local/state/voltaxe")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(set: Settings) -> String {
        format!("{:#}", Config::resolve(set, None, None).unwrap_err())
    }

    #[test]
    fn a_public_address_without_tls_is_refused() {
        let listen = Some(vec!["0.0.0.0:8080".parse().unwrap()]);
        assert!(problem(Settings { listen: listen.clone(), ..Settings::default() }).contains("behind-proxy"));
        let behind = Settings { listen, behind_proxy: Some(true), ..Settings::default() };
        assert!(Config::resolve(behind, None, None).is_ok());
    }

    #[test]
    fn agents_are_sent_to_their_own_listener() {
        let set =
            Settings { agent_listen: Some(vec!["10.77.0.1:8080".parse().unwrap()]), ..Settings::default() };
        assert_eq!(Config::resolve(set, None, None).unwrap().agent_origin(), "http://10.77.0.1:8080");
    }

    #[test]
    fn wrong_values_name_their_setting() {
        assert!(problem(Settings { history_days: Some(0), ..Settings::default() }).contains("history-days"));
        assert!(problem(Settings { tls_key: Some("k".into()), ..Settings::default() }).contains("tls-cert"));
        let url = Some("http://a.example/path".parse().unwrap());
        assert!(problem(Settings { agent_url: url, ..Settings::default() }).contains("agent-url"));
    }

    #[test]
    fn only_addresses_that_can_be_reached_are_announced() {
        let announce = |address: &str| Settings {
            announce: Some(vec![address.parse().unwrap()]),
            ..Settings::default()
        };
        for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:0"] {
            assert!(problem(announce(address)).contains("announce"), "{address}");
        }
        assert_eq!(Config::resolve(announce("10.0.0.1:8080"), None, None).unwrap().announce.len(), 1);
    }

    #[test]
    fn an_unknown_key_in_the_file_is_named() {
        let error = toml::from_str::<Settings>("lisen = [\"127.0.0.1:1\"]").unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }

    #[test]
    fn the_database_url_is_never_shown() {
        let config =
            Config::resolve(Settings::default(), Some(SecretString::from("postgres://u:hunter2@h/d")), None)
                .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
