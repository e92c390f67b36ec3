use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::HostFiles;

/// An established TCP connection of this network namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::isolation) struct Connection {
    pub(in crate::isolation) local: SocketAddr,
    pub(in crate::isolation) remote: SocketAddr,
}

const ESTABLISHED: &str = "01";

impl HostFiles {
    /// Established TCP connections, without those over loopback (proc_net_tcp(5)).
    pub(in crate::isolation) fn connections(&self) -> Vec<Connection> {
        // The thread's own namespace, which need not be the process's.
        ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
            .into_iter()
            .filter_map(|file| self.text(file))
            .flat_map(|text| text.lines().filter_map(connection).collect::<Vec<_>>())
            .filter(|connection| !connection.remote.ip().is_loopback())
            .collect()
    }
}

fn connection(line: &str) -> Option<Connection> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    if words.next()? != ESTABLISHED {
        return None;
    }
    Some(Connection { local: address(local)?, remote: address(remote)? })
}

/// 32-bit words in the host's byte order, as hexadecimal, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip: IpAddr = if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        Ipv4Addr::from(v4).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_are_read_as_the_kernel_writes_them() {
        let v4 = "   1: 0200A8C0:0016 0100A8C0:D431 01 00000000:00000000 00:00000000 00000000     0";
        let expected = Connection {
            local: "192.168.0.2:22".parse().unwrap(),
            remote: "192.168.0.1:54321".parse().unwrap(),
        };
        assert_eq!(connection(v4), Some(expected));
        let listening = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000";
        assert_eq!(connection(listening), None);
        let mapped = "0000000000000000FFFF00000100A8C0:0050";
        assert_eq!(address(mapped), "192.168.0.1:80".parse().ok());
        assert_eq!(address("000080FE00000000FF005450B6AD1DFE:01BB").map(|address| address.port()), Some(443));
        assert_eq!(address("zz:1"), None);
    }
}
