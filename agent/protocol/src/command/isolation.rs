use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::IsolationObservation;

/// One isolation has at most so many exceptions.
pub const MOST_EXCEPTIONS: usize = 32;
/// An exception for more of the network than this would be no isolation: the shortest prefixes of IPv4 and IPv6.
const SHORTEST_PREFIX: (u8, u8) = (8, 32);

/// Cut the host off the network, all but the server.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkIsolate {
    pub reason: String,
    /// What stays reachable besides the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// DNS to the resolvers that the host is configured with. Data can leave through DNS.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_dns: bool,
    /// The kernel itself lifts the isolation so many seconds after it was applied, even if the agent is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_restore_after_seconds: Option<u32>,
    /// Shown on the terminals of users who are logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_users: Option<String>,
}

/// Give the host its network back, exactly as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRestore {
    pub reason: String,
}

/// Go on isolating, on these terms instead of the present ones. Refused when the host is not isolated.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationChange {
    pub reason: String,
    /// All that hold from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_dns: bool,
    /// When the kernel lifts the isolation; `None`: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_restore_at: Option<DateTime<Utc>>,
}

/// What an isolate on these terms would do: changes nothing. Answered by [`IsolationPreviewOutcome`].
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationPreview {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_dns: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_restore_after_seconds: Option<u32>,
}

/// What stays reachable although the host is isolated: connections that one side opens, and the answers to them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// An address or a network in CIDR form: `10.0.0.5`, `10.1.0.0/16`, `fd00::/64`.
    #[serde(with = "network")]
    pub network: IpNet,
    #[serde(default)]
    pub direction: Direction,
    pub protocol: Protocol,
    /// Of the side that is connected to. Required for TCP and UDP, absent for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// It ends by itself at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The host connects to the network.
    #[default]
    Outbound,
    /// The network connects to the host.
    Inbound,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Tcp,
    Udp,
    /// Echo requests and their replies.
    Icmp,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExceptionError {
    #[error("{network} would open too much of the network; the widest are /8 for IPv4 and /32 for IPv6")]
    TooWide { network: IpNet },
    #[error("{network} is no network that hosts are reached in (unspecified, loopback or multicast)")]
    NotAHost { network: IpNet },
    #[error("{network} needs a port from 1 to 65535: TCP and UDP are opened port by port")]
    PortMissing { network: IpNet },
    #[error("{network} has a port, which ICMP does not know; leave it out")]
    PortWithIcmp { network: IpNet },
    #[error("{network} would end at {until}, which is in the past")]
    Over { network: IpNet, until: DateTime<Utc> },
    #[error("there are {0} exceptions, at most 32 are possible; name networks instead of single addresses")]
    TooMany(usize),
}

/// What both sides ask of exceptions. `now` is for those that end.
pub fn check_exceptions(exceptions: &[Exception], now: DateTime<Utc>) -> Result<(), ExceptionError> {
    if exceptions.len() > MOST_EXCEPTIONS {
        return Err(ExceptionError::TooMany(exceptions.len()));
    }
    exceptions.iter().try_for_each(|exception| exception.check(now))
}

impl Exception {
    fn check(&self, now: DateTime<Utc>) -> Result<(), ExceptionError> {
        let network = self.network;
        let shortest = match network {
            IpNet::V4(_) => SHORTEST_PREFIX.0,
            IpNet::V6(_) => SHORTEST_PREFIX.1,
        };
        let address = network.network();
        if network.prefix_len() < shortest {
            return Err(ExceptionError::TooWide { network });
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(ExceptionError::NotAHost { network });
        }
        match (self.protocol, self.port) {
            (Protocol::Tcp | Protocol::Udp, None | Some(0)) => {
                return Err(ExceptionError::PortMissing { network });
            }
            (Protocol::Icmp, Some(_)) => return Err(ExceptionError::PortWithIcmp { network }),
            (Protocol::Tcp | Protocol::Udp, Some(_)) | (Protocol::Icmp, None) => {}
        }
        match self.until {
            Some(until) if until <= now => Err(ExceptionError::Over { network, until }),
            _ => Ok(()),
        }
    }
}

/// `data` of the result of what changes the isolation.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IsolationOutcome {
    /// As read back from the kernel after the action, not as asked for.
    pub isolated: bool,
    pub timestamp: DateTime<Utc>,
    pub observation: IsolationObservation,
}

/// `data` of a preview's result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IsolationPreviewOutcome {
    pub timestamp: DateTime<Utc>,
    /// The transaction, in nft's language.
    pub ruleset: String,
    /// Addresses of the server that stay reachable, with the port.
    pub servers: Vec<String>,
    pub warnings: Vec<PreflightWarning>,
    /// Logins over the network that will drop.
    pub sessions: Vec<Session>,
    /// Open TCP connections that will drop, and those that an exception or the server keeps.
    pub connections_cut: u32,
    pub connections_kept: u32,
}

/// Something an operator should know before the click.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PreflightWarning {
    pub kind: PreflightKind,
    /// One sentence.
    pub message: String,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreflightKind {
    /// The way to the server leads through a VPN or a tunnel, which is cut as well.
    Tunnel,
    /// The way to the server leads through a proxy.
    Proxy,
    /// Containers with devices of their own (macvlan, ipvlan).
    Containers,
    /// Virtual machines run here and lose their network, too.
    Hypervisor,
    /// Routed traffic of others passes through this host.
    Router,
    /// firewalld, ufw, docker and the like change the rules, too.
    FirewallManager,
    /// The root file system or swap is on the network.
    NetworkStorage,
    /// The kernel lacks something: what is not covered.
    NotCovered,
    /// Isolating would fail.
    Blocked,
    #[serde(other)]
    Unknown,
}

/// Somebody logged in over the network.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub user: String,
    pub terminal: String,
    /// Address or name, as the login recorded it.
    pub from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A network of one address is written as the address.
mod network {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{IpAddr, IpNet};

    pub(super) fn serialize<S: Serializer>(network: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
        if network.prefix_len() == network.max_prefix_len() {
            serializer.collect_str(&network.addr())
        } else {
            serializer.collect_str(network)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.into()),
            Err(_) => text.parse::<IpNet>().map(|network| network.trunc()).map_err(|_| {
                D::Error::custom(format!("{text:?} is neither an address nor a network such as 10.1.0.0/16"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(network: &str) -> Exception {
        Exception {
            network: network.parse().unwrap(),
            direction: Direction::Outbound,
            protocol: Protocol::Tcp,
            port: Some(443),
            until: None,
        }
    }

    fn check(exception: Exception) -> Result<(), ExceptionError> {
        check_exceptions(&[exception], DateTime::UNIX_EPOCH)
    }

    #[test]
    fn what_would_open_everything_is_refused() {
        for network in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"] {
            assert!(matches!(check(exception(network)), Err(ExceptionError::TooWide { .. })), "{network}");
        }
        for network in ["0.0.0.0/8", "127.0.0.1/32", "::1/128", "ff02::1/128", "224.0.0.5/32"] {
            assert!(matches!(check(exception(network)), Err(ExceptionError::NotAHost { .. })), "{network}");
        }
        assert_eq!(check(exception("10.0.0.0/8")), Ok(()));
        let many = vec![exception("10.0.0.1/32"); MOST_EXCEPTIONS + 1];
        assert_eq!(check_exceptions(&many, DateTime::UNIX_EPOCH), Err(ExceptionError::TooMany(33)));
    }

    #[test]
    fn ports_go_with_tcp_and_udp_alone() {
        let missing = Exception { port: None, ..exception("10.0.0.1/32") };
        assert!(matches!(check(missing), Err(ExceptionError::PortMissing { .. })));
        let ping = Exception { protocol: Protocol::Icmp, ..exception("10.0.0.1/32") };
        assert!(matches!(check(ping.clone()), Err(ExceptionError::PortWithIcmp { .. })));
        assert_eq!(check(Exception { port: None, ..ping }), Ok(()));
        let over = Exception { until: Some(DateTime::UNIX_EPOCH), ..exception("10.0.0.1/32") };
        assert!(matches!(check(over), Err(ExceptionError::Over { .. })));
    }

    #[test]
    fn addresses_and_networks_are_read_and_written_alike() {
        for text in ["10.0.0.5", "10.1.0.0/16", "fd00::/64", "fd00::1"] {
            let json = format!(r#"{{"network":"{text}","direction":"inbound","protocol":"tcp","port":22}}"#);
            let read: Exception = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        let sloppy: Exception =
            serde_json::from_str(r#"{"network":"10.1.2.3/16","protocol":"icmp"}"#).unwrap();
        assert_eq!(sloppy.network.to_string(), "10.1.0.0/16");
        assert!(serde_json::from_str::<Exception>(r#"{"network":"web-01","protocol":"icmp"}"#).is_err());
    }
}
