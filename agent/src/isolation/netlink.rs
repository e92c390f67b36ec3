//! Just enough netlink to ask the kernel for its tables, chains, rules, devices and addresses, and to run nftables
//! transactions. A question costs some 30 us; starting `nft` to ask it costs 4 ms.
//!
//! Message layouts: linux/netlink.h, linux/netfilter/nfnetlink.h, linux/rtnetlink.h.

pub(super) mod attribute;

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send,
        socket_with, sockopt,
    },
};

const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLM_F_EXCL: u16 = 0x200;
pub(super) const NLM_F_CREATE: u16 = 0x400;
pub(super) const NLM_F_APPEND: u16 = 0x800;
/// A dump that other changes keep interrupting is given up after this many tries.
const MAX_DUMP_TRIES: usize = 10;
/// The kernel answers at once; this only keeps a lost answer from blocking for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A limit, not an allocation. A transaction is one datagram, of some 2 kB a device.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A socket of one netlink family. It stays open: closing an nftables socket waits for the kernel to free deleted
/// rules (17 ms measured).
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One message of a transaction.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: u16,
    /// Beyond those that each request has.
    pub(super) flags: u16,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    /// Run the agent as root; nothing was changed.
    #[error("the agent may not change the kernel's rules; it needs root")]
    NotPermitted,
    /// Look at what is there before another try: an answer may have been lost.
    #[error("the kernel refused the transaction ({0})")]
    Failed(io::Error),
}

impl From<io::Error> for BatchError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::PermissionDenied { Self::NotPermitted } else { Self::Failed(error) }
    }
}

/// One message of an answer, without its header.
pub(super) type Body = Vec<u8>;

impl Netlink {
    pub(super) fn netfilter() -> io::Result<Self> {
        let netlink = Self::open(Some(netlink::NETFILTER))?;
        // Refused without privilege over the network namespace, where there is nothing to send either.
        let _ = sockopt::set_socket_send_buffer_size_force(&netlink.socket, MAX_BATCH_BYTES);
        Ok(netlink)
    }

    pub(super) fn route() -> io::Result<Self> {
        Self::open(None)
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WITHIN))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; 64 * 1024] })
    }

    /// All answers to one dump request, of one consistent state.
    pub(super) fn dump(&mut self, kind: u16, payload: &[u8]) -> io::Result<Vec<Body>> {
        for _ in 0..MAX_DUMP_TRIES {
            if let Some(bodies) = self.dump_once(kind, payload)? {
                return Ok(bodies);
            }
        }
        Err(io::Error::other("the kernel's rules change too fast to be read"))
    }

    /// The answer to a request for one thing; `None` when there is no such thing.
    pub(super) fn get(&mut self, kind: u16, payload: &[u8]) -> io::Result<Option<Body>> {
        let sequence = self.request(kind, NLM_F_REQUEST, payload)?;
        let mut answer = None;
        self.receive(sequence, sequence, |message| match message {
            Message::Body { body, .. } => {
                answer = Some(body.to_vec());
                Ok(true)
            }
            Message::Error(Errno::NOENT) => Ok(true),
            Message::Error(error) => Err(error.into()),
            Message::Done => Ok(true),
        })?;
        Ok(answer)
    }

    /// Runs requests as one nftables transaction: all or nothing.
    pub(super) fn batch(&mut self, requests: &[Request]) -> Result<(), BatchError> {
        const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
        const NFNL_MSG_BATCH_END: u16 = 0x11;
        const NFNL_SUBSYS_NFTABLES: u16 = 10;
        let Some(index_of_last) = requests.len().checked_sub(1) else { return Ok(()) };
        let subsystem = nfgen(0, NFNL_SUBSYS_NFTABLES);
        let mut bytes = Vec::new();
        self.sequence += 1;
        let begin = self.sequence;
        message(&mut bytes, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, begin, &subsystem);
        for (index, request) in requests.iter().enumerate() {
            // Refusals are answered in any case, and before this.
            let ack = if index == index_of_last { NLM_F_ACK } else { 0 };
            self.sequence += 1;
            message(
                &mut bytes,
                request.kind,
                NLM_F_REQUEST | ack | request.flags,
                self.sequence,
                &request.payload,
            );
        }
        let last = self.sequence;
        self.sequence += 1;
        message(&mut bytes, NFNL_MSG_BATCH_END, NLM_F_REQUEST, self.sequence, &subsystem);
        send(&self.socket, &bytes, SendFlags::empty()).map_err(io::Error::from)?;
        self.receive(begin, last, |message| match message {
            Message::Error(error) => Err(error.into()),
            Message::Done | Message::Body { .. } => Ok(true),
        })?;
        Ok(())
    }

    fn dump_once(&mut self, kind: u16, payload: &[u8]) -> io::Result<Option<Vec<Body>>> {
        let sequence = self.request(kind, NLM_F_REQUEST | NLM_F_DUMP, payload)?;
        let mut bodies = Vec::new();
        let mut is_consistent = true;
        self.receive(sequence, sequence, |message| match message {
            Message::Body { body, interrupted } => {
                is_consistent &= !interrupted;
                bodies.push(body.to_vec());
                Ok(false)
            }
            Message::Error(error) => Err(error.into()),
            Message::Done => Ok(true),
        })?;
        Ok(is_consistent.then_some(bodies))
    }

    fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<u32> {
        self.sequence += 1;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        message(&mut bytes, kind, flags, self.sequence, payload);
        send(&self.socket, &bytes, SendFlags::empty())?;
        Ok(self.sequence)
    }

    /// Calls `take` for each message with this sequence number until it says that it has enough. An error that
    /// answers an earlier message, from `since` on, ends it too.
    fn receive(
        &mut self,
        since: u32,
        sequence: u32,
        mut take: impl FnMut(Message<'_>) -> io::Result<bool>,
    ) -> io::Result<()> {
        loop {
            let (length, _) = match recv(&self.socket, &mut *self.buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let mut rest = self.buffer.get(..length).ok_or_else(malformed)?;
            while rest.len() >= HEADER_BYTES {
                let size = u32_at(rest, 0).ok_or_else(malformed)? as usize;
                let kind = u16_at(rest, 4).ok_or_else(malformed)?;
                let flags = u16_at(rest, 6).ok_or_else(malformed)?;
                let number = u32_at(rest, 8).ok_or_else(malformed)?;
                let body = rest.get(HEADER_BYTES..size).ok_or_else(malformed)?;
                rest = rest.get(aligned(size)..).unwrap_or_default();
                let message = match kind {
                    NLMSG_ERROR => match u32_at(body, 0).ok_or_else(malformed)?.cast_signed() {
                        0 => Message::Done,
                        code => Message::Error(Errno::from_raw_os_error(-code)),
                    },
                    NLMSG_DONE => Message::Done,
                    _ => Message::Body { body, interrupted: flags & NLM_F_DUMP_INTR != 0 },
                };
                if number == sequence {
                    if take(message)? {
                        return Ok(());
                    }
                } else if let Message::Error(error) = message
                    && (since..sequence).contains(&number)
                {
                    return Err(error.into());
                }
            }
        }
    }
}

enum Message<'a> {
    Body { body: &'a [u8], interrupted: bool },
    Error(Errno),
    Done,
}

/// `struct nfgenmsg`: family, version 0, resource id in network order.
pub(super) fn nfgen(family: u8, resource: u16) -> Vec<u8> {
    let mut bytes = vec![family, 0];
    bytes.extend_from_slice(&resource.to_be_bytes());
    bytes
}

/// A number in host order at an offset, as in the fixed headers.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let length = u32::try_from(HEADER_BYTES + payload.len()).expect("requests are short");
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&0_u32.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(aligned(out.len()), 0);
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn malformed() -> io::Error {
    io::Error::other("the kernel sent a netlink message of an unexpected form")
}
