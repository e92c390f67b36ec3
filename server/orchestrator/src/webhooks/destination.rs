//! Where webhooks may go. Whoever may set one must not reach, through this server, what only this server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

const LONGEST_URL: usize = 2_000;

/// The networks that webhooks may go to although they are not public, and over plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Allowance(pub Vec<IpNet>);

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Blocked {
    #[error("{0} is not a public address; --webhook-allow-network can name its network")]
    NotPublic(IpAddr),
    #[error("{0} is not in a network that --webhook-allow-network names, so it must be https")]
    Plain(IpAddr),
}

impl Allowance {
    /// Whether this address may be connected to: asked of the very address that is used.
    pub fn check(&self, address: IpAddr, is_https: bool) -> Result<(), Blocked> {
        let address = embedded(address);
        if self.0.iter().any(|network| network.contains(&address)) {
            Ok(())
        } else if !is_public(address) {
            Err(Blocked::NotPublic(address))
        } else if !is_https {
            Err(Blocked::Plain(address))
        } else {
            Ok(())
        }
    }

    /// What can be said of a URL without looking its name up. The error says what it must be.
    pub fn check_url(&self, text: &str) -> Result<Url, String> {
        if text.len() > LONGEST_URL {
            return Err("must be at most 2000 characters".to_owned());
        }
        let url = Url::parse(text)
            .map_err(|error| format!("is no URL ({error}); as in https://hooks.example.com/services/.."))?;
        let is_https = match url.scheme() {
            "https" => true,
            "http" if !self.0.is_empty() => false,
            "http" => {
                return Err("must be https, unless --webhook-allow-network names its network".to_owned());
            }
            _ => return Err("must begin with https://".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no user name and no password".to_owned());
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err("names no host".to_owned()),
        };
        if let Some(address) = literal {
            self.check(address, is_https).map_err(|blocked| format!("cannot be used: {blocked}"))?;
        }
        Ok(url)
    }
}

/// The IPv4 address in one of IPv6 that leads to it.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let octets = six.octets();
    let is_nat64 = octets[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    let is_compatible = octets[..12] == [0; 12] && !six.is_loopback() && !six.is_unspecified();
    match six.to_ipv4_mapped() {
        Some(four) => four.into(),
        None if is_nat64 || is_compatible => {
            Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]).into()
        }
        None => address,
    }
}

/// By the registries of special addresses (RFC 6890): what routers of the Internet forward to one host.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_four(four),
        IpAddr::V6(six) => is_public_six(six),
    }
}

fn is_public_four(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || matches!(
            (a, b, c),
            (0, _, _) | (240..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99)
        )
        || matches!((a, b), (198, 18 | 19));
    !is_special
}

/// Global unicast, without documentation, and without tunnels that end at an IPv4 address.
fn is_public_six(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_special = matches!(
        (segments[0], segments[1]),
        (0x2002, _) | (0x2001, 0..=0x1ff) | (0x2001, 0x0db8) | (0x3fff, 0..=0xfff)
    );
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str) -> Result<(), Blocked> {
        Allowance::default().check(address.parse().unwrap(), true)
    }

    #[test]
    fn what_only_this_server_reaches_is_refused() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "::127.0.0.1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(check(address).is_err(), "{address}");
        }
        for address in ["1.1.1.1", "203.0.112.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn an_allowed_network_is_reached_and_over_plain_http_too() {
        let allowance = Allowance(vec!["10.9.0.0/16".parse().unwrap()]);
        let check = |address: &str, is_https| allowance.check(address.parse().unwrap(), is_https);
        assert_eq!(check("10.9.1.1", false), Ok(()));
        assert_eq!(check("::ffff:10.9.1.1", false), Ok(()));
        assert!(matches!(check("10.8.1.1", true), Err(Blocked::NotPublic(_))));
        assert!(matches!(check("1.1.1.1", false), Err(Blocked::Plain(_))));
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why() {
        let none = Allowance::default();
        for (url, why) in [
            ("ftp://a.example/", "https"),
            ("http://a.example/", "https"),
            ("https://u:p@a.example/", "password"),
            ("https://127.0.0.1/", "--webhook-allow-network"),
            ("https://[::1]/", "--webhook-allow-network"),
            ("https://2130706433/", "--webhook-allow-network"),
            ("https://0x7f.1/", "--webhook-allow-network"),
            ("no url", "as in https://"),
        ] {
            let refused = none.check_url(url).unwrap_err();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        assert!(none.check_url("https://hooks.example.com/services/T0/B0").is_ok());
    }
}
