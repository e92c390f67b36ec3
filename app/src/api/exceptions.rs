//! An isolation's exceptions as people write them, one a line: `tcp 10.0.0.5:22 in until 18:00Z`.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use voltaxe_protocol::{Direction, Exception, Protocol};

use super::parse::invalid;
use crate::error::ApiError;

const FIELD: &str = "exceptions";
const FORM: &str = "a line is as in: tcp 10.0.0.5:22 in until 18:00Z";

/// Empty lines and what follows a `#` mean nothing. An error names the line.
pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Result<Vec<Exception>, ApiError> {
    let mut exceptions = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let exception =
            one(&words, now).map_err(|problem| invalid(FIELD, &format!("line {number}: {problem}")))?;
        exceptions.push(exception);
    }
    Ok(exceptions)
}

/// As it can be written again.
pub(crate) fn line(exception: &Exception) -> String {
    let Exception { network, direction, protocol, port, until } = exception;
    let address = if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    };
    let mut line = match (protocol, port) {
        (Protocol::Icmp, _) | (_, None) => format!("{} {address}", word(*protocol)),
        (_, Some(port)) if address.contains(':') => format!("{} [{address}]:{port}", word(*protocol)),
        (_, Some(port)) => format!("{} {address}:{port}", word(*protocol)),
    };
    line.push_str(match direction {
        Direction::Inbound => " in",
        Direction::Outbound => " out",
    });
    if let Some(until) = until {
        let _ = write!(line, " until {}", until.format("%Y-%m-%dT%H:%M:%SZ"));
    }
    line
}

fn one(words: &[&str], now: DateTime<Utc>) -> Result<Exception, String> {
    let [protocol, place, rest @ ..] = words else { return Err(format!("is not complete; {FORM}")) };
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]
        .into_iter()
        .find(|known| word(*known).eq_ignore_ascii_case(protocol))
        .ok_or_else(|| format!("{protocol:?} is not tcp, udp or icmp; {FORM}"))?;
    let (network, port) = place_of(place)?;
    let network = serde_json::json!(network);
    let (direction, rest) = match rest {
        ["in", rest @ ..] => (Direction::Inbound, rest),
        ["out", rest @ ..] => (Direction::Outbound, rest),
        rest => (Direction::Outbound, rest),
    };
    let until = match rest {
        [] => None,
        ["until", time] => Some(time_of(time, now)?),
        [other, ..] => return Err(format!("{other:?} is not understood; {FORM}")),
    };
    let exception = serde_json::json!({
        "network": network, "direction": direction, "protocol": protocol, "port": port, "until": until,
    });
    serde_json::from_value(exception).map_err(|error| error.to_string())
}

/// `10.0.0.5:22`, `10.1.0.0/16:443`, `[fd00::5]:22`, `[fd00::/64]:443`; without a port for ICMP.
fn place_of(text: &str) -> Result<(&str, Option<u16>), String> {
    let port =
        |port: &str| port.parse().map(Some).map_err(|_| format!("{port:?} is no port from 1 to 65535"));
    if let Some(rest) = text.strip_prefix('[') {
        let (network, rest) = rest.split_once(']').ok_or_else(|| format!("{text:?} has a [ without a ]"))?;
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((network, port(digits)?)),
            None if rest.is_empty() => Ok((network, None)),
            None => Err(format!("{text:?} is not understood; with a port it is [{network}]:443")),
        };
    }
    match text.split_once(':') {
        Some((network, digits)) if !digits.contains(':') => Ok((network, port(digits)?)),
        // More than one colon: IPv6 without a port.
        Some(_) | None => Ok((text, None)),
    }
}

/// `18:00Z` is the next time that it is so late, in UTC.
fn time_of(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let problem = || format!("{text:?} is no time; as in 18:00Z or 2026-01-31T18:00Z, which are UTC");
    let zoneless = text.strip_suffix('Z').ok_or_else(problem)?;
    if let Ok(time) = NaiveTime::parse_from_str(zoneless, "%H:%M") {
        let today = now.date_naive().and_time(time).and_utc();
        return Ok(if today > now { today } else { today + TimeDelta::days(1) });
    }
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(zoneless, format).ok())
        .map(|time| time.and_utc())
        .ok_or_else(problem)
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-31T17:00:00Z".parse().unwrap()
    }

    fn again(text: &str) -> String {
        parse(text, now()).unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn lines_are_read_and_written_alike() {
        let text = "tcp 10.0.0.5:22 in\nudp 10.1.0.0/16:514 out\ntcp [fd00::5]:443 out\ntcp [fd00::/64]:443 in\n\
                    icmp 10.0.0.1 out\nicmp fd00::1 in\ntcp 10.0.0.6:22 in until 2026-01-31T18:00:00Z";
        assert_eq!(again(text), text);
    }

    #[test]
    fn what_is_not_said_is_meant() {
        assert_eq!(again("\n  TCP 10.1.2.3/16:443   # to the proxy\n\n"), "tcp 10.1.0.0/16:443 out");
        assert_eq!(again("tcp 10.0.0.5:22 until 18:00Z"), "tcp 10.0.0.5:22 out until 2026-01-31T18:00:00Z");
        assert_eq!(again("tcp 10.0.0.5:22 until 16:00Z"), "tcp 10.0.0.5:22 out until 2026-02-01T16:00:00Z");
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, part) in [
            ("tcp 10.0.0.5:22\ngre 10.0.0.5", "line 2: \"gre\" is not tcp"),
            ("tcp", "line 1: is not complete"),
            ("tcp 10.0.0.5:99999", "no port"),
            ("tcp web-02:22", "neither an address nor a network"),
            ("tcp 10.0.0.5:22 both", "\"both\" is not understood"),
            ("tcp 10.0.0.5:22 in until noon", "no time"),
            ("tcp 10.0.0.5:22 in until 18:00", "no time"),
            ("tcp [fd00::5:22", "without a ]"),
        ] {
            let problem = parse(text, now()).unwrap_err().of_field(FIELD).unwrap();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
