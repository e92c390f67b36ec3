use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use serde::Serialize;

use super::processes::namespace;
use crate::forensics::{
    collection::{Collection, Trouble},
    proc,
    text::text,
};

const LARGEST_TABLE: u64 = 64 * 1024 * 1024;
const INTERNET: [&str; 10] =
    ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"];
const CHECK_EVERY: usize = 256;

#[derive(Debug, PartialEq, Serialize)]
struct Socket<'a> {
    protocol: &'a str,
    /// The network namespace's inode: containers have others than the host.
    namespace: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    /// Of a local socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Of a packet socket: what frames it takes, hexadecimal (0003 is all), and of which device (0 is any).
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<u32>,
    inode: u64,
    /// Processes that hold it. Empty for one that is closing, or that only the kernel holds.
    owners: &'a [u32],
}

/// Of every network namespace that some process is in.
pub(super) fn list(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let proc = collection.host.proc.clone();
    let pids = proc::pids(&proc)?;
    let owners = owners(&proc, &pids, collection)?;
    let mut namespaces: BTreeMap<u64, u32> = BTreeMap::new();
    for &pid in &pids {
        if let Some(namespace) = namespace(&proc.join(pid.to_string()), "net") {
            namespaces.entry(namespace).or_insert(pid);
        }
    }
    collection.begin_list("volatile/sockets.json")?;
    for (namespace, pid) in namespaces {
        let tables = proc.join(pid.to_string()).join("net");
        for protocol in INTERNET {
            let table = table(&tables, protocol);
            for line in table.lines().skip(1) {
                if let Some(socket) = internet(line, protocol, namespace, &owners) {
                    collection.item(&socket)?;
                }
            }
        }
        for line in table(&tables, "unix").lines().skip(1) {
            if let Some(socket) = unix(line, namespace, &owners) {
                collection.item(&socket)?;
            }
        }
        for line in table(&tables, "packet").lines().skip(1) {
            if let Some(socket) = packet(line, namespace, &owners) {
                collection.item(&socket)?;
            }
        }
    }
    Ok(())
}

fn table(tables: &Path, name: &str) -> String {
    text(&proc::read(&tables.join(name), LARGEST_TABLE).unwrap_or_default())
}

type Owners = HashMap<u64, Vec<u32>>;

/// Which processes hold which socket, by its inode.
fn owners(proc: &Path, pids: &[u32], collection: &mut Collection<'_>) -> Result<Owners, Trouble> {
    let mut owners = Owners::new();
    for &pid in pids {
        let descriptors = proc.join(pid.to_string()).join("fd");
        for (at, descriptor) in proc::numbered(&descriptors).unwrap_or_default().into_iter().enumerate() {
            if at % CHECK_EVERY == 0 {
                collection.check()?;
            }
            let Ok(target) = fs::read_link(descriptors.join(descriptor.to_string())) else { continue };
            if let Some(inode) = socket_inode(target.as_os_str().as_bytes()) {
                let pids = owners.entry(inode).or_default();
                if pids.last() != Some(&pid) {
                    pids.push(pid);
                }
            }
        }
    }
    Ok(owners)
}

/// `socket:[INODE]`
fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn held(owners: &Owners, inode: u64) -> &[u32] {
    owners.get(&inode).map_or(&[], Vec::as_slice)
}

/// `sl local remote state tx:rx tr:when retrnsmt uid timeout inode ..`
fn internet<'a>(line: &str, protocol: &'a str, namespace: u64, owners: &'a Owners) -> Option<Socket<'a>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let inode = words.get(9)?.parse().ok()?;
    Some(Socket {
        protocol,
        namespace,
        local: Some(address(words.get(1)?)?),
        remote: Some(address(words.get(2)?)?),
        state: protocol.starts_with("tcp").then(|| state(words.get(3).copied().unwrap_or_default())),
        uid: words.get(7)?.parse().ok(),
        path: None,
        frames: None,
        device: None,
        inode,
        owners: held(owners, inode),
    })
}

/// `Num RefCount Protocol Flags Type St Inode Path`, the path with whatever is in it.
fn unix<'a>(line: &str, namespace: u64, owners: &'a Owners) -> Option<Socket<'a>> {
    let mut rest = line;
    let mut word = || {
        rest = rest.trim_ascii_start();
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        word
    };
    let kind = [word(), word(), word(), word(), word()][4];
    let state = if word() == "03" { "connected" } else { "listening or unconnected" };
    let inode = word().parse().ok()?;
    let protocol = match kind {
        "0001" => "unix_stream",
        "0002" => "unix_datagram",
        "0005" => "unix_sequenced",
        _ => "unix",
    };
    Some(Socket {
        protocol,
        namespace,
        local: None,
        remote: None,
        state: Some(state),
        uid: None,
        path: (!rest.is_empty()).then(|| rest.to_owned()),
        frames: None,
        device: None,
        inode,
        owners: held(owners, inode),
    })
}

/// `sk RefCnt Type Proto Iface R Rmem User Inode`
fn packet<'a>(line: &str, namespace: u64, owners: &'a Owners) -> Option<Socket<'a>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let inode = words.get(8)?.parse().ok()?;
    Some(Socket {
        protocol: "packet",
        namespace,
        local: None,
        remote: None,
        state: None,
        uid: words.get(7)?.parse().ok(),
        path: None,
        frames: Some((*words.get(3)?).to_owned()),
        device: words.get(4)?.parse().ok(),
        inode,
        owners: held(owners, inode),
    })
}

/// Words of 32 bits in the host's order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let bytes: Vec<u8> = hex::decode(address)
        .ok()?
        .chunks_exact(4)
        .flat_map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]).to_ne_bytes())
        .collect();
    let address: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    Some(SocketAddr::new(address, port))
}

/// include/net/tcp_states.h
fn state(code: &str) -> &'static str {
    match code {
        "01" => "established",
        "02" => "syn_sent",
        "03" => "syn_received",
        "04" => "fin_wait_1",
        "05" => "fin_wait_2",
        "06" => "time_wait",
        "07" => "closed",
        "08" => "close_wait",
        "09" => "last_ack",
        "0A" => "listening",
        "0B" => "closing",
        "0C" => "new_syn_received",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let owners = Owners::from([(1234, vec![7, 8])]);
        let line = "   0: 0100007F:1F90 0200A8C0:D431 01 00000000:00000000 00:00000000 00000000  1000        0 1234 1 ff 100 0";
        let socket = internet(line, "tcp", 9, &owners).unwrap();
        assert_eq!(socket.local.unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(socket.remote.unwrap().to_string(), "192.168.0.2:54321");
        assert_eq!((socket.state, socket.uid, socket.owners), (Some("established"), Some(1000), &[7, 8][..]));

        let line = "0: B80D01200000000000000000010000FE:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5 1";
        assert_eq!(
            internet(line, "tcp6", 9, &owners).unwrap().local.unwrap().to_string(),
            "[2001:db8::fe00:1]:22"
        );

        let line = "ffff: 00000002 00000000 00010000 0001 01 1234 @/tmp/a name with\u{202e} spaces";
        let socket = unix(line, 9, &owners).unwrap();
        assert_eq!(socket.path.unwrap(), "@/tmp/a name with\u{202e} spaces");
        assert_eq!((socket.protocol, socket.owners), ("unix_stream", &[7, 8][..]));

        let socket = packet("ffff 3      3    0003   2     1 0      0      1234", 9, &owners).unwrap();
        assert_eq!((socket.frames.as_deref(), socket.device, socket.inode), (Some("0003"), Some(2), 1234));
        for line in ["", "x", "0: 01:02 03:04"] {
            assert_eq!(internet(line, "tcp", 9, &owners), None);
            assert_eq!(unix(line, 9, &owners), None);
        }
        assert_eq!(socket_inode(b"socket:[42]"), Some(42));
        assert_eq!(socket_inode(b"socket:[42] (deleted)"), None);
    }
}
