//! Every way out and in that somebody could try, before, while and after the host is isolated by a real agent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    agent::Host,
    gateway::{Gateway, isolate, restore},
    isolation::HOST_RULES,
    net::{Conversation, Echo, HOST, NO_ANSWER_AFTER, OUTSIDE, PORT, SERVER, World, enter, eventually, ip},
    raw,
};

/// Drift is to be found and undone within this time.
const PUT_BACK_WITHIN: Duration = Duration::from_secs(10);
const DNS: u16 = 53;
const OTHER_PORT: u16 = 9999;
const UDP_ECHO: u16 = 5000;
const UDP_SINK: u16 = 5001;
const HOST_SERVICE: u16 = 8081;
const LOOPBACK_SERVICE: u16 = 8082;
/// As the one that iptables-nft makes of `iptables -I OUTPUT -j ACCEPT` and the like.
const IPTABLES_RULES: &str = "
table ip filter {
	chain INPUT { type filter hook input priority 0; policy accept; counter accept; }
	chain FORWARD { type filter hook forward priority 0; policy accept; counter accept; }
	chain OUTPUT { type filter hook output priority 0; policy accept; counter accept; }
}
";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Open,
    Closed,
}

/// What is tried, and how it must be while the host is isolated; before and after, all is open.
type Probe = (&'static str, Way, fn(&Lab<'_>) -> bool);

#[test]
fn nothing_leaks_but_what_leads_to_the_server() {
    let rounds = [0, 1].map(|family| thread::spawn(move || round(family)));
    let [v4, v6] = rounds.map(|round| round.join().unwrap());
    println!("{:<58} {:>7} {:>9} {:>9} {:>7}", "probe", "before", "isolated", "isolated", "after");
    println!("{:<58} {:>7} {:>9} {:>9} {:>7}", "", "", "(by v4)", "(by v6)", "");
    for (row, other) in v4.iter().zip(&v6) {
        println!(
            "{:<58} {:>7} {:>9} {:>9} {:>7}",
            row.name,
            word(row.before && other.before),
            word(row.during),
            word(other.during),
            word(row.after && other.after)
        );
    }
    let wrong: Vec<&str> = v4
        .iter()
        .chain(&v6)
        .filter(|row| !row.before || !row.after || row.during != (row.expected == Way::Open))
        .map(|row| row.name)
        .collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

struct Row {
    name: &'static str,
    expected: Way,
    before: bool,
    during: bool,
    after: bool,
}

fn word(is_open: bool) -> &'static str {
    if is_open { "open" } else { "closed" }
}

/// The whole table, with a server that the agent reaches by IPv4 (0) or IPv6 (1).
fn round(family: usize) -> Vec<Row> {
    let world = World::new();
    let lab = Lab::new(&world);
    world.nft(HOST_RULES);
    let ruleset = world.ruleset();
    let gateway = Gateway::start(&world);
    let mut host = host_by(family, &world, &gateway);
    host.start();
    gateway.wait_live();

    let probes = probes(family);
    let mut rows: Vec<Row> = probes
        .iter()
        .map(|(name, expected, probe)| {
            eventually(&format!("before: {name}"), || probe(&lab).then_some(()));
            Row { name, expected: *expected, before: true, during: false, after: false }
        })
        .collect();
    let mut opened = Vec::new();
    for address in OUTSIDE {
        opened.push(("a connection that was open before, from the host", world.talk_soon("host", address)));
    }
    opened.push(("a connection that was open before, from the LAN", lab.talk_in_soon()));
    assert!(opened.iter_mut().all(|(_, conversation)| conversation.is_answered()));

    gateway.push(&gateway.order(1, isolate()));
    let result = gateway.result_of(1);
    assert!(result.success, "{}", result.message);
    for (_, conversation) in &mut opened {
        assert!(!conversation.is_answered(), "a connection that was open before lives on");
    }
    for ((_, _, probe), row) in probes.iter().zip(&mut rows) {
        row.during = probe(&lab);
    }
    rows.push(opened_before());

    world.nft(IPTABLES_RULES);
    rows.push(Row {
        name: "TCP and raw frames, after an iptables rule was added",
        expected: Way::Closed,
        before: true,
        during: lab.leaks(),
        after: true,
    });
    world.nft("delete table ip filter");

    gateway.push(&gateway.order(2, restore()));
    assert!(gateway.result_of(2).success);
    assert_eq!(world.ruleset(), ruleset, "the host's own rules are not as they were");
    for ((name, _, probe), row) in probes.iter().zip(&mut rows) {
        row.after = eventually(&format!("after: {name}"), || probe(&lab).then_some(true));
    }

    gateway.push(&gateway.order(3, isolate()));
    assert!(gateway.result_of(3).success);
    rows.push(Row { during: flush(&world, &lab), ..after_flush() });
    gateway.push(&gateway.order(4, restore()));
    assert!(gateway.result_of(4).success);
    assert_eq!(world.ruleset(), "");
    rows
}

fn opened_before() -> Row {
    let name = "connections that were open before (v4, v6, inbound)";
    Row { name, expected: Way::Closed, before: true, during: false, after: true }
}

fn after_flush() -> Row {
    let name = "TCP and raw frames, 10 s after `nft flush ruleset`";
    Row { name, expected: Way::Closed, before: true, during: true, after: true }
}

/// Whether it still leaks after the time in which that is to be found.
fn flush(world: &World, lab: &Lab<'_>) -> bool {
    world.nft("flush ruleset");
    let start = Instant::now();
    while start.elapsed() < PUT_BACK_WITHIN {
        if world.ruleset().contains("voltaxe_isolation") {
            println!("put back {:.1} s after `nft flush ruleset`", start.elapsed().as_secs_f32());
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    lab.leaks()
}

fn host_by<'a>(family: usize, world: &'a World, gateway: &Gateway) -> Host<'a> {
    let host = Host::new(world);
    let bracketed = [SERVER[0].to_owned(), format!("[{}]", SERVER[1])][family].clone();
    let config = std::fs::read_to_string(host.path("agent.conf")).unwrap();
    std::fs::write(host.path("agent.conf"), config.replace(SERVER[0], &bracketed)).unwrap();
    let output = host.enroll(&gateway.enrol_string().replace(SERVER[0], &bracketed), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host
}

fn probes(family: usize) -> Vec<Probe> {
    let control = |index| if index == family { Way::Open } else { Way::Closed };
    fn probe(name: &'static str, way: Way, probe: fn(&Lab<'_>) -> bool) -> Probe {
        (name, way, probe)
    }
    vec![
        probe("control: TCP to the server's port, v4", control(0), |lab| {
            lab.connects("host", SERVER[0], PORT)
        }),
        probe("control: TCP to the server's port, v6", control(1), |lab| {
            lab.connects("host", SERVER[1], PORT)
        }),
        probe("TCP to another port of the server, v4", Way::Closed, |lab| {
            lab.connects("host", SERVER[0], OTHER_PORT)
        }),
        probe("TCP to another host, v4", Way::Closed, |lab| lab.connects("host", OUTSIDE[0], PORT)),
        probe("TCP to another host, v6", Way::Closed, |lab| lab.connects("host", OUTSIDE[1], PORT)),
        probe("UDP to another host, v4", Way::Closed, |lab| lab.is_echoed(OUTSIDE[0], UDP_ECHO)),
        probe("UDP to another host, v6", Way::Closed, |lab| lab.is_echoed(OUTSIDE[1], UDP_ECHO)),
        probe("DNS over UDP to another host, v4", Way::Closed, |lab| lab.is_echoed(OUTSIDE[0], DNS)),
        probe("DNS over UDP to another host, v6", Way::Closed, |lab| lab.is_echoed(OUTSIDE[1], DNS)),
        probe("DNS over UDP to the server, v4", Way::Closed, |lab| lab.is_echoed(SERVER[0], DNS)),
        probe("DNS over TCP to another host, v4", Way::Closed, |lab| lab.connects("host", OUTSIDE[0], DNS)),
        probe("DNS over TCP to the server, v4", Way::Closed, |lab| lab.connects("host", SERVER[0], DNS)),
        probe("ICMP echo, v4", Way::Closed, |lab| lab.pings(OUTSIDE[0])),
        probe("ICMP echo, v6", Way::Closed, |lab| lab.pings(OUTSIDE[1])),
        probe("inbound from the LAN, v4", Way::Closed, |lab| lab.connects("out", HOST[0], HOST_SERVICE)),
        probe("inbound from the LAN, v6", Way::Closed, |lab| lab.connects("out", HOST[1], HOST_SERVICE)),
        probe("inbound from the server, v4", Way::Closed, |lab| lab.connects("srv", HOST[0], HOST_SERVICE)),
        probe("a service on loopback, v4", Way::Open, |lab| {
            lab.connects("host", "127.0.0.1", LOOPBACK_SERVICE)
        }),
        probe("a service on loopback, v6", Way::Open, |lab| lab.connects("host", "::1", LOOPBACK_SERVICE)),
        probe("a raw frame (AF_PACKET) with UDP, v4", Way::Closed, |lab| lab.frame_arrives()),
        probe("a raw frame (AF_PACKET) with UDP, v6", Way::Closed, |lab| lab.frame6_arrives()),
        probe("a macvlan container, v4", Way::Closed, |lab| lab.connects("mac", OUTSIDE[0], PORT)),
        probe("a macvlan container, v6", Way::Closed, |lab| lab.connects("mac", OUTSIDE[1], PORT)),
        probe("forwarded traffic, v4", Way::Closed, |lab| lab.connects("guest", OUTSIDE[0], PORT)),
        probe("IPv6 extension headers, through the IP stack", Way::Closed, |lab| lab.headers_arrive()),
        probe("IPv6 fragments, through the IP stack", Way::Closed, |lab| lab.fragments_arrive()),
        probe("IPv6 fragments, as raw frames", Way::Closed, |lab| lab.raw_fragments_arrive()),
        probe("IPv6 fragments that the stack makes of a long datagram", Way::Closed, |lab| {
            lab.is_echoed_back(OUTSIDE[1], UDP_ECHO, &[7; 4000])
        }),
    ]
}

/// The world with services, a container beside the host and a guest behind it.
struct Lab<'a> {
    world: &'a World,
    sink: UdpSocket,
    _tcp: Vec<Echo>,
    _udp: Vec<UdpEcho>,
}

impl<'a> Lab<'a> {
    fn new(world: &'a World) -> Self {
        let (host, out) = (world.name("host"), world.name("out"));
        let (mac, guest) = (world.name("mac"), world.name("guest"));
        for part in [&mac, &guest] {
            ip(&["netns", "add", part]);
        }
        let macvlan = ["name", "mv0", "type", "macvlan", "mode", "bridge"];
        ip(&[&["-n", &host, "link", "add", "link", "eth0"][..], &macvlan].concat());
        ip(&["-n", &host, "link", "set", "mv0", "netns", &mac]);
        ip(&["-n", &mac, "addr", "add", "10.77.0.30/24", "dev", "mv0"]);
        ip(&["-n", &mac, "addr", "add", "fd77::30/64", "dev", "mv0", "nodad"]);
        ip(&["-n", &mac, "link", "set", "mv0", "up"]);
        ip(&["-n", &host, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", &guest]);
        ip(&["-n", &host, "addr", "add", "10.78.0.1/24", "dev", "eth1"]);
        ip(&["-n", &host, "link", "set", "eth1", "up"]);
        ip(&["-n", &guest, "addr", "add", "10.78.0.2/24", "dev", "eth0"]);
        ip(&["-n", &guest, "link", "set", "eth0", "up"]);
        ip(&["-n", &guest, "route", "add", "default", "via", "10.78.0.1"]);
        ip(&["-n", &out, "route", "add", "10.78.0.0/24", "via", HOST[0]]);
        world.within("host", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        let server = world.name("srv");
        let tcp = [
            (&server, OTHER_PORT),
            (&server, DNS),
            (&out, DNS),
            (&host, HOST_SERVICE),
            (&host, LOOPBACK_SERVICE),
        ];
        let udp = [(&server, DNS), (&out, DNS), (&out, UDP_ECHO)];
        let sink = world.within("out", || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, UDP_SINK)).unwrap());
        sink.set_read_timeout(Some(NO_ANSWER_AFTER)).unwrap();
        Self {
            world,
            sink,
            _tcp: tcp.into_iter().map(|(name, port)| Echo::start(name, port)).collect(),
            _udp: udp.into_iter().map(|(name, port)| UdpEcho::start(name, port)).collect(),
        }
    }

    fn connects(&self, from: &str, to: &str, port: u16) -> bool {
        let address = SocketAddr::new(to.parse::<IpAddr>().unwrap(), port);
        self.world.within(from, || TcpStream::connect_timeout(&address, NO_ANSWER_AFTER).is_ok())
    }

    fn talk_in_soon(&self) -> Conversation {
        let address = SocketAddr::new(HOST[0].parse().unwrap(), HOST_SERVICE);
        self.world.within("out", || {
            let stream = TcpStream::connect_timeout(&address, NO_ANSWER_AFTER * 5).unwrap();
            stream.set_read_timeout(Some(NO_ANSWER_AFTER)).unwrap();
            Conversation::over(stream)
        })
    }

    fn is_echoed(&self, to: &str, port: u16) -> bool {
        self.is_echoed_back(to, port, b"probe")
    }

    fn is_echoed_back(&self, to: &str, port: u16, payload: &[u8]) -> bool {
        let to: IpAddr = to.parse().unwrap();
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        self.world.within("host", || {
            let socket = UdpSocket::bind((any, 0)).unwrap();
            socket.set_read_timeout(Some(NO_ANSWER_AFTER)).unwrap();
            let mut answer = vec![0; payload.len() + 1];
            socket.send_to(payload, (to, port)).is_ok()
                && socket.recv(&mut answer).is_ok_and(|length| answer[..length] == *payload)
        })
    }

    fn pings(&self, to: &str) -> bool {
        let status = Command::new("ip")
            .args(["netns", "exec", &self.world.name("host"), "ping", "-n", "-c", "1", "-W", "1", to])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    }

    fn frame_arrives(&self) -> bool {
        let packet = raw::udp4(HOST[0].parse().unwrap(), OUTSIDE[0].parse().unwrap(), UDP_SINK, b"frame");
        self.arrives(b"frame", || raw::send_frame(0x0800, &packet))
    }

    fn frame6_arrives(&self) -> bool {
        let [source, destination] = addresses6();
        let packet = raw::udp6_behind_headers(source, destination, UDP_SINK, b"frame6");
        self.arrives(b"frame6", || raw::send_frame(0x86dd, &packet))
    }

    fn headers_arrive(&self) -> bool {
        let [source, destination] = addresses6();
        let packet = raw::udp6_behind_headers(source, destination, UDP_SINK, b"headers");
        self.arrives(b"headers", || raw::send_ip6(&packet, destination))
    }

    fn fragments_arrive(&self) -> bool {
        let [source, destination] = addresses6();
        let fragments = raw::udp6_in_fragments(source, destination, UDP_SINK, b"in two fragments");
        self.arrives(b"in two fragments", || {
            fragments.iter().for_each(|fragment| raw::send_ip6(fragment, destination));
        })
    }

    fn raw_fragments_arrive(&self) -> bool {
        let [source, destination] = addresses6();
        let fragments = raw::udp6_in_fragments(source, destination, UDP_SINK, b"in two raw fragments");
        self.arrives(b"in two raw fragments", || {
            fragments.iter().for_each(|fragment| raw::send_frame(0x86dd, fragment));
        })
    }

    fn arrives(&self, payload: &[u8], send: impl FnOnce() + Send) -> bool {
        self.world.within("host", send);
        let mut datagram = [0; 64];
        while let Ok(length) = self.sink.recv(&mut datagram) {
            if datagram[..length] == *payload {
                return true;
            }
        }
        false
    }

    fn leaks(&self) -> bool {
        self.connects("host", OUTSIDE[0], PORT)
            || self.connects("host", OUTSIDE[1], PORT)
            || self.connects("guest", OUTSIDE[0], PORT)
            || self.connects("mac", OUTSIDE[0], PORT)
            || self.connects("out", HOST[0], HOST_SERVICE)
            || self.frame_arrives()
    }
}

fn addresses6() -> [Ipv6Addr; 2] {
    [HOST[1], OUTSIDE[1]].map(|address| address.parse().unwrap())
}

/// Sends each datagram back, on IPv4 and IPv6, until dropped.
struct UdpEcho {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl UdpEcho {
    fn start(name: &str, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn({
            let (stop, name) = (Arc::clone(&stop), name.to_owned());
            move || {
                enter(&name);
                let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                ready.send(()).unwrap();
                let mut datagram = [0; 8192];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((length, from)) = socket.recv_from(&mut datagram) {
                        let _ = socket.send_to(&datagram[..length], from);
                    }
                }
            }
        });
        is_ready.recv().unwrap();
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
