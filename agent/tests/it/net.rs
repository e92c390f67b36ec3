//! A small network of namespaces: the agent's host, the server and an outside host on one bridge.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) const SERVER: [&str; 2] = ["10.77.0.1", "fd77::1"];
pub(crate) const HOST: [&str; 2] = ["10.77.0.2", "fd77::2"];
pub(crate) const OUTSIDE: [&str; 2] = ["10.77.0.9", "fd77::9"];
pub(crate) const PORT: u16 = 8080;
/// Long enough for any answer on this machine, short enough to wait for its absence.
pub(crate) const NO_ANSWER_AFTER: Duration = Duration::from_millis(400);
/// For conditions that are to come true.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Removes its namespaces when dropped.
pub(crate) struct World {
    prefix: String,
    outside: Option<Echo>,
}

impl World {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make network namespaces and firewall rules: run them as root"
        );
        let prefix = format!("vxt{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut world = Self { prefix, outside: None };
        let lan = world.name("lan");
        for part in ["lan", "srv", "host", "out"] {
            ip(&["netns", "add", &world.name(part)]);
            ip(&["-n", &world.name(part), "link", "set", "lo", "up"]);
        }
        ip(&["-n", &lan, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &lan, "link", "set", "br0", "up"]);
        for (part, addresses) in [("srv", SERVER), ("host", HOST), ("out", OUTSIDE)] {
            let name = world.name(part);
            ip(&["-n", &lan, "link", "add", part, "type", "veth", "peer", "name", "eth0", "netns", &name]);
            ip(&["-n", &lan, "link", "set", part, "master", "br0", "up"]);
            ip(&["-n", &name, "addr", "add", &format!("{}/24", addresses[0]), "dev", "eth0"]);
            ip(&["-n", &name, "addr", "add", &format!("{}/64", addresses[1]), "dev", "eth0", "nodad"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
        }
        world.outside = Some(Echo::start(&world.name("out"), PORT));
        world
    }

    pub(crate) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    pub(crate) fn nft(&self, script: &str) {
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.name("host"), "nft", "-f", "-"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refused: {script}");
    }

    /// The host's rules as `nft list ruleset` prints them.
    pub(crate) fn ruleset(&self) -> String {
        self.listed(&["list", "ruleset"])
    }

    /// The same, after each rule's expressions as the kernel has them.
    pub(crate) fn expressions(&self) -> String {
        self.listed(&["--debug=netlink", "list", "ruleset"])
    }

    /// Our tables with the kernel's handles.
    pub(crate) fn tables(&self) -> String {
        self.listed(&["-a", "list", "tables"])
    }

    fn listed(&self, arguments: &[&str]) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name("host"), "nft"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `work` on a thread of its own in a namespace.
    pub(crate) fn within<T: Send>(&self, part: &str, work: impl FnOnce() -> T + Send) -> T {
        let name = self.name(part);
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter(&name);
                    work()
                })
                .join()
                .unwrap()
        })
    }

    /// A conversation from one of the namespaces with the outside service, or the server's port.
    pub(crate) fn talk(&self, from: &str, to: &str) -> Option<Conversation> {
        let address = SocketAddr::new(to.parse::<IpAddr>().unwrap(), PORT);
        self.within(from, || {
            let stream = TcpStream::connect_timeout(&address, NO_ANSWER_AFTER).ok()?;
            stream.set_read_timeout(Some(NO_ANSWER_AFTER)).unwrap();
            Some(Conversation(stream))
        })
    }

    /// Until a conversation comes about: addresses settle, bridges learn.
    pub(crate) fn talk_soon(&self, from: &str, to: &str) -> Conversation {
        eventually(&format!("{from} reaches {to}"), || self.talk(from, to))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.outside = None;
        for part in ["lan", "srv", "host", "out", "mac", "guest"] {
            let _ = Command::new("ip")
                .args(["netns", "del", &self.name(part)])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

/// An open TCP connection to an echo service.
pub(crate) struct Conversation(TcpStream);

impl Conversation {
    /// `stream` has a time after which there is no answer.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self(stream)
    }

    pub(crate) fn is_answered(&mut self) -> bool {
        let mut answer = [0; 4];
        self.0.write_all(b"ping").is_ok() && self.0.read_exact(&mut answer).is_ok() && answer == *b"ping"
    }
}

/// Answers with what it hears, on IPv4 and IPv6, until dropped.
pub(crate) struct Echo {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    name: String,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(name: &str, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let address = SocketAddr::new("::1".parse().unwrap(), port);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn({
            let (stop, name) = (Arc::clone(&stop), name.to_owned());
            move || {
                enter(&name);
                let listener = TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, port)).unwrap();
                ready.send(()).unwrap();
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
                }
            }
        });
        is_ready.recv().unwrap();
        Self { stop, address, name: name.to_owned(), thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (name, address) = (self.name.clone(), self.address);
        let knock = thread::spawn(move || {
            enter(&name);
            let _ = TcpStream::connect(address);
        });
        let _ = knock.join();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter(name: &str) {
    let file = File::open(format!("/run/netns/{name}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Tries until there is something; fails after a generous while.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come about that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {}", arguments.join(" "));
}
