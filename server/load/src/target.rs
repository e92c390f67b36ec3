use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// A server to put load on. Only loopback addresses have this type: a fleet must never reach somebody's real console.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    address: SocketAddr,
    authority: String,
}

impl Target {
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port, as in the `Host` header and under signatures.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Where the `index`th connection starts: an address has only 28,232 ports to start from.
    #[must_use]
    pub fn source_of(&self, index: usize) -> Option<IpAddr> {
        let last = u8::try_from(2 + index / CONNECTIONS_A_SOURCE % 200).unwrap_or(2);
        self.address.is_ipv4().then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }
}

const CONNECTIONS_A_SOURCE: usize = 5_000;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let authority = text.strip_prefix("http://").ok_or(TargetError::Scheme)?.trim_end_matches('/');
        let address = authority.replace("localhost", "127.0.0.1");
        let address: SocketAddr = address.parse().map_err(|_| TargetError::Address)?;
        if !address.ip().is_loopback() {
            return Err(TargetError::NotLoopback(address.ip()));
        }
        Ok(Self { address, authority: authority.to_ascii_lowercase() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    #[error("the address starts with http:// (load is made on loopback, without TLS)")]
    Scheme,
    #[error("the address is http:// with an IP address and a port: http://127.0.0.1:8080")]
    Address,
    #[error(
        "{0} is not a loopback address; load is only made on a server of this machine, at 127.0.0.1 or [::1]"
    )]
    NotLoopback(IpAddr),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_a_target() {
        for good in
            ["http://127.0.0.1:8080", "http://127.9.0.1:1/", "http://[::1]:8080", "http://localhost:80"]
        {
            assert!(good.parse::<Target>().is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1:8080",
            "http://0.0.0.0:8080",
            "http://[::]:8080",
            "http://192.168.1.1:8080",
            "http://console.example:8080",
            "http://127.0.0.1.example:8080",
            "http://localhost.example:8080",
            "https://127.0.0.1:8080",
            "http://127.0.0.1",
            "http://127.0.0.1:8080/path",
            "http://user@127.0.0.1:8080",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
