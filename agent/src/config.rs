//! `agent.conf`: INI, closed (an unknown section or key is refused by name), overridden by three variables.

mod server_url;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ini::{Ini, ParseOption};
use voltaxe_protocol::LONGEST_POLL_SECONDS;

pub use server_url::{ServerUrl, ServerUrlError};

pub const DEFAULT_PATH: &str = "/etc/voltaxe/agent.conf";
const DEFAULT_DIRECT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8082);

const KEYS: &[(&str, &[&str])] = &[
    ("server", &["api_url", "ca_file"]),
    ("polling", &["enabled", "interval_seconds", "wait_seconds"]),
    ("stream", &["enabled"]),
    ("direct", &["enabled", "listen"]),
    ("telemetry", &["interval_seconds"]),
    ("isolation", &["rediscover"]),
    (
        "agent",
        &[
            "state_dir",
            "machine_id_file",
            "hostname",
            "log_level",
            "executor_socket",
            "executor_state_dir",
            "user",
        ],
    ),
];

#[derive(Clone, Debug)]
pub struct Config {
    /// `None` when neither the file nor the environment names one.
    pub api_url: Option<ServerUrl>,
    /// PEM. When set, only certificates under it are trusted; otherwise the system's.
    pub ca_file: Option<PathBuf>,
    pub polling_enabled: bool,
    pub polling_interval: Duration,
    /// How long the server may keep a poll open; zero for not at all.
    pub polling_wait: Duration,
    pub stream_enabled: bool,
    /// Where the server may post commands to; `None` when the direct channel is off.
    pub direct_listen: Option<SocketAddr>,
    pub telemetry_interval: Duration,
    pub state_dir: PathBuf,
    pub machine_id_file: PathBuf,
    /// Instead of the system's host name at enrolment.
    pub hostname: Option<String>,
    pub log_level: tracing::Level,
    /// Whether an isolated host that lost its server may ask its resolvers for it, for seconds at a time.
    pub may_rediscover: bool,
    /// Where the executor listens; `None`: the agent is one process.
    pub executor_socket: Option<PathBuf>,
    pub executor_state_dir: PathBuf,
    /// The user, by name or number, that the part of the agent runs as which speaks with the network.
    pub user: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operator enrols, which writes the file, or names another.
    #[error(
        "there is no configuration at {path}; `voltaxe-sentinel enroll` writes one, or name another file with --config"
    )]
    Missing { path: PathBuf },
    #[error("the configuration {path} cannot be read; check its owner and mode")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("agent.conf is not an INI file: line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("agent.conf has an unknown section [{section}]{hint}")]
    UnknownSection { section: String, hint: String },
    #[error("agent.conf has an unknown key `{key}` in [{section}]{hint}")]
    UnknownKey { section: String, key: String, hint: String },
    #[error(
        "agent.conf has the key `{key}` before the first section; write it below its section, for example [server]"
    )]
    NoSection { key: String },
    #[error("agent.conf has `{key}` in [{section}] more than once; keep one")]
    Twice { section: String, key: String },
    /// `name` is `[section] key` or the variable's name.
    #[error("{name} is {value:?}; {expected}")]
    BadValue { name: String, value: String, expected: String },
    #[error(
        "no server is configured; set `api_url` in [server] of agent.conf (for example http://10.77.0.1:8080) or the variable \
         VOLTAXE_API_URL"
    )]
    NoServer,
}

impl Config {
    /// Reads the file, then the environment through `variable`.
    pub fn load(path: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, variable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ConfigError::Missing { path: path.to_owned() })
            }
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let options = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            enabled_indented_mutiline_value: false,
            ..ParseOption::default()
        };
        let ini = Ini::load_from_str_opt(text, options)
            .map_err(|error| ConfigError::Syntax { line: error.line, message: error.msg.to_string() })?;
        check_keys(&ini)?;
        let values = Values { ini: &ini, variable: &variable };
        let direct_listen = values.get("direct", "listen", None, socket_address)?;
        Ok(Self {
            api_url: values.get("server", "api_url", Some("VOLTAXE_API_URL"), |text| {
                text.parse::<ServerUrl>().map_err(|error| error.to_string())
            })?,
            ca_file: values.get("server", "ca_file", None, absolute_path)?,
            polling_enabled: values
                .get("polling", "enabled", Some("COMMAND_POLL_ENABLED"), boolean)?
                .unwrap_or(true),
            polling_interval: values
                .get("polling", "interval_seconds", Some("COMMAND_POLL_INTERVAL"), seconds)?
                .unwrap_or(Duration::from_secs(10)),
            polling_wait: values.get("polling", "wait_seconds", None, poll_wait)?.unwrap_or_default(),
            stream_enabled: values.get("stream", "enabled", None, boolean)?.unwrap_or(true),
            direct_listen: values
                .get("direct", "enabled", None, boolean)?
                .unwrap_or(false)
                .then_some(direct_listen.unwrap_or(DEFAULT_DIRECT_LISTEN)),
            telemetry_interval: values
                .get("telemetry", "interval_seconds", None, seconds)?
                .unwrap_or(Duration::from_secs(15)),
            state_dir: values
                .get("agent", "state_dir", None, absolute_path)?
                .unwrap_or_else(|| PathBuf::from("/var/lib/voltaxe-sentinel")),
            machine_id_file: values
                .get("agent", "machine_id_file", None, absolute_path)?
                .unwrap_or_else(|| PathBuf::from("/etc/machine-id")),
            hostname: values.get("agent", "hostname", None, hostname)?,
            log_level: values.get("agent", "log_level", None, log_level)?.unwrap_or(tracing::Level::INFO),
            may_rediscover: values.get("isolation", "rediscover", None, boolean)?.unwrap_or(true),
            executor_socket: values.get("agent", "executor_socket", None, absolute_path)?,
            executor_state_dir: values
                .get("agent", "executor_state_dir", None, absolute_path)?
                .unwrap_or_else(|| PathBuf::from("/var/lib/voltaxe-sentinel-executor")),
            user: values
                .get("agent", "user", None, |text| Ok(text.to_owned()))?
                .unwrap_or_else(|| "voltaxe-sentinel".to_owned()),
        })
    }

    /// What `enroll` writes when there is no file.
    #[must_use]
    pub fn template(api_url: &ServerUrl) -> String {
        format!(
            "# Voltaxe Sentinel agent. Every key is described in the README.\n\n\
             [server]\napi_url = {api_url}\n\n\
             [polling]\nenabled = true\ninterval_seconds = 10\n"
        )
    }

    /// Where the isolation's state and the bundles are.
    #[must_use]
    pub fn acting_state_dir(&self) -> &Path {
        if self.executor_socket.is_some() { &self.executor_state_dir } else { &self.state_dir }
    }

    pub fn server_url(&self) -> Result<&ServerUrl, ConfigError> {
        self.api_url.as_ref().ok_or(ConfigError::NoServer)
    }
}

struct Values<'a> {
    ini: &'a Ini,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Values<'_> {
    /// The variable wins over the file; an error names where the value came from.
    fn get<T>(
        &self,
        section: &str,
        key: &str,
        variable: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let from_environment =
            variable.and_then(|name| Some((format!("the variable {name}"), (self.variable)(name)?)));
        let from_file = || {
            let value = self.ini.get_from(Some(section), key)?;
            Some((format!("[{section}] {key} in agent.conf"), value.to_owned()))
        };
        let Some((name, value)) = from_environment.or_else(from_file) else {
            return Ok(None);
        };
        match parse(value.trim()) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(expected) => Err(ConfigError::BadValue { name, value, expected }),
        }
    }
}

fn check_keys(ini: &Ini) -> Result<(), ConfigError> {
    let mut seen = std::collections::BTreeSet::new();
    for (section, properties) in ini {
        let Some(section) = section else {
            if let Some((key, _)) = properties.iter().next() {
                return Err(ConfigError::NoSection { key: key.to_owned() });
            }
            continue;
        };
        let Some((_, keys)) = KEYS.iter().find(|(name, _)| *name == section) else {
            let hint = did_you_mean(section, KEYS.iter().map(|(name, _)| *name));
            return Err(ConfigError::UnknownSection { section: section.to_owned(), hint });
        };
        for (key, _) in properties.iter() {
            if !keys.contains(&key) {
                let hint = did_you_mean(key, keys.iter().copied());
                return Err(ConfigError::UnknownKey {
                    section: section.to_owned(),
                    key: key.to_owned(),
                    hint,
                });
            }
            if !seen.insert((section.to_owned(), key.to_owned())) {
                return Err(ConfigError::Twice { section: section.to_owned(), key: key.to_owned() });
            }
        }
    }
    Ok(())
}

fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|name| (edit_distance(word, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None => format!("; known here: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Levenshtein's distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("write a whole number of seconds from 1 to 3600".to_owned()),
    }
}

fn poll_wait(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0..=LONGEST_POLL_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("write a whole number of seconds from 0 (off) to {LONGEST_POLL_SECONDS}")),
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port, for example 0.0.0.0:8082 or [::]:8082".to_owned())
}

fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("write an absolute path".to_owned()) }
}

fn hostname(text: &str) -> Result<String, String> {
    let is_valid = (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if is_valid { Ok(text.to_owned()) } else { Err("write letters, digits, dots and dashes".to_owned()) }
}

fn log_level(text: &str) -> Result<tracing::Level, String> {
    text.parse().map_err(|_| "write error, warn, info, debug or trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "[server]\napi_url = http://clarity-hub-api:8080\n\n[polling]\nenabled = true\ninterval_seconds = 10\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, |_| None)
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_the_documented_file() {
        let config = parse(SEED).unwrap();
        assert_eq!(config.server_url().unwrap().to_string(), "http://clarity-hub-api:8080");
        assert!(config.polling_enabled && config.stream_enabled);
        assert_eq!(config.polling_interval, Duration::from_secs(10));
        assert_eq!(config.telemetry_interval, Duration::from_secs(15));
        assert_eq!(config.state_dir, Path::new("/var/lib/voltaxe-sentinel"));
    }

    #[test]
    fn reads_the_file_that_enroll_writes() {
        let url: ServerUrl = "http://10.77.0.1:8080".parse().unwrap();
        let config = parse(&Config::template(&url)).unwrap();
        assert_eq!(config.api_url, Some(url));
    }

    #[test]
    fn the_direct_channel_is_off_unless_switched_on() {
        assert_eq!(parse("[direct]\nlisten = 127.0.0.1:9\n").unwrap().direct_listen, None);
        let on = parse("[direct]\nenabled = true\n").unwrap();
        assert_eq!(on.direct_listen, Some("0.0.0.0:8082".parse().unwrap()));
        let elsewhere = parse("[direct]\nenabled = true\nlisten = [::1]:9000\n").unwrap();
        assert_eq!(elsewhere.direct_listen, Some("[::1]:9000".parse().unwrap()));
    }

    #[test]
    fn variables_win_over_the_file() {
        let config = Config::parse(SEED, |name| {
            Some(match name {
                "VOLTAXE_API_URL" => "http://localhost:9000".to_owned(),
                "COMMAND_POLL_ENABLED" => "false".to_owned(),
                _ => "30".to_owned(),
            })
        })
        .unwrap();
        assert_eq!(config.server_url().unwrap().to_string(), "http://localhost:9000");
        assert!(!config.polling_enabled);
        assert_eq!(config.polling_interval, Duration::from_secs(30));
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = Config::parse(SEED, |name| (name == "COMMAND_POLL_INTERVAL").then(|| "soon".to_owned()));
        assert_eq!(
            error.unwrap_err().to_string(),
            "the variable COMMAND_POLL_INTERVAL is \"soon\"; write a whole number of seconds from 1 to 3600"
        );
    }

    #[test]
    fn unknown_words_are_refused_by_name() {
        assert_eq!(
            message("[polling]\ninterval_second = 5\n"),
            "agent.conf has an unknown key `interval_second` in [polling]; did you mean `interval_seconds`?"
        );
        assert_eq!(
            message("[poling]\nenabled = true\n"),
            "agent.conf has an unknown section [poling]; did you mean `polling`?"
        );
        assert_eq!(
            message("[server]\ncompletely_other = 1\n"),
            "agent.conf has an unknown key `completely_other` in [server]; known here: api_url, ca_file"
        );
        assert!(message("api_url = http://a\n").contains("before the first section"));
        assert!(message("[polling]\nenabled = true\nenabled = false\n").contains("more than once"));
        assert!(message("[polling]\nenabled\n").contains("is not an INI file: line"));
    }

    #[test]
    fn bad_values_name_the_key() {
        for text in [
            "[polling]\ninterval_seconds = 0\n",
            "[polling]\nenabled = maybe\n",
            "[agent]\nstate_dir = relative/path\n",
            "[agent]\nlog_level = loud\n",
            "[polling]\nwait_seconds = 26\n",
            "[direct]\nlisten = 8082\n",
            "[server]\napi_url = ftp://x\n",
        ] {
            assert!(matches!(parse(text), Err(ConfigError::BadValue { .. })), "{text}");
        }
    }

    #[test]
    fn a_missing_file_names_the_fix() {
        let error = Config::load(Path::new("/nonexistent/agent.conf"), |_| None).unwrap_err();
        assert!(error.to_string().contains("`voltaxe-sentinel enroll` writes one"), "{error}");
    }
}
