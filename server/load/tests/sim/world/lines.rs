//! What lies between a host and the server.

use voltaxe_protocol::ServerFrame;
use voltaxe_sentinel::core::{PostKey, RequestFailure, StreamLoss};

use super::*;
use crate::{
    happening::ToHost,
    host::DirectReply,
    server::{Answer, Request},
};

const NO_ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl World {
    /// The agent's connection attempt has come to an end.
    pub(super) fn connects(&mut self, host: usize) {
        let now = self.host_now(host);
        let is_reached = !self.hosts[host].is_cut_off && !self.is_lost();
        let (Some(server), true) = (&self.server, is_reached) else {
            let loss = StreamLoss::Unreachable("no answer".to_owned());
            self.with_core(host, |core| core.handle_stream_lost(now, &loss));
            return;
        };
        self.streams += 1;
        let number = self.streams;
        let (socket, inbox) = mpsc::unbounded_channel();
        server.serve_stream(host, number, &self.hosts[host].id, inbox);
        self.sockets.insert((host, number), socket);
        self.hosts[host].stream = Some(number);
        self.note(format_args!("host {host} has stream {number}"));
        self.with_core(host, |core| core.handle_stream_live(now, 30));
    }

    pub(super) fn stream_ends(&mut self, host: usize, number: u64) {
        if self.hosts[host].stream != Some(number) {
            return;
        }
        self.hosts[host].stream = None;
        let now = self.host_now(host);
        self.note(format_args!("host {host} loses stream {number}"));
        self.with_core(host, |core| core.handle_stream_lost(now, &StreamLoss::Closed("broken".to_owned())));
    }

    pub(super) fn server_closes(&mut self, host: usize, number: u64) {
        self.sockets.remove(&(host, number));
        let boot = self.hosts[host].boot;
        self.after_up_to(self.plan.latency, Happening::Host { host, boot, what: ToHost::StreamEnds(number) });
    }

    /// A frame of the agent's sets out.
    pub(super) fn frame_goes(&mut self, host: usize, frame: &AgentFrame) {
        let Some(number) = self.hosts[host].stream else { return };
        for at in self.stream_arrivals(host, number, true) {
            self.at(at, Happening::FrameArrives { host, number, frame: frame.clone() });
        }
    }

    pub(super) fn frame_arrives(&mut self, host: usize, number: u64, frame: AgentFrame) {
        if self.broken.contains(&(host, number)) {
            return;
        }
        if let Some(socket) = self.sockets.get(&(host, number)) {
            // A socket that nobody reads from any more is as good as closed.
            let _ = socket.send(frame);
        }
    }

    pub(super) fn frame_leaves(&mut self, host: usize, number: u64, frame: ServerFrame) {
        if let ServerFrame::Command { attempt, envelope } = &frame {
            self.offers.push(DirectOffer { attempt: *attempt, envelope: envelope.clone() });
        }
        for at in self.stream_arrivals(host, number, false) {
            self.at(at, Happening::FrameReaches { host, number, frame: frame.clone() });
        }
    }

    pub(super) fn frame_reaches(&mut self, host: usize, number: u64, frame: ServerFrame) {
        if self.hosts[host].stream != Some(number) || self.broken.contains(&(host, number)) {
            return;
        }
        let now = self.host_now(host);
        self.note(format_args!("host {host} hears {}", short(&frame)));
        self.with_core(host, |core| core.handle_frame(now, frame));
    }

    pub(super) fn request_goes(&mut self, host: usize, request: Request, key: Option<PostKey>) {
        let boot = self.hosts[host].boot;
        if self.hosts[host].is_cut_off || self.is_lost() {
            return self.fail_request(host, boot, key);
        }
        self.after_up_to(self.plan.latency, Happening::RequestArrives { host, boot, request, key });
    }

    pub(super) fn request_arrives(&mut self, host: usize, boot: u64, request: Request, key: Option<PostKey>) {
        let Some(server) = &self.server else { return self.fail_request(host, boot, key) };
        server.request(host, &self.hosts[host].id, request, move |answer| Happening::AnswerLeaves {
            host,
            boot,
            answer,
            key,
        });
    }

    pub(super) fn answer_leaves(&mut self, host: usize, boot: u64, answer: Answer, key: Option<PostKey>) {
        if self.hosts[host].is_cut_off || self.is_lost() {
            return self.fail_request(host, boot, key);
        }
        if let Answer::Polled(polled) = &answer {
            for offered in &polled.commands {
                self.offers
                    .push(DirectOffer { attempt: offered.attempt, envelope: offered.envelope.clone() });
            }
        }
        self.after_up_to(
            self.plan.latency,
            Happening::Host { host, boot, what: ToHost::Answered { answer, key } },
        );
    }

    pub(super) fn call_leaves(&mut self, host: usize, offer: Box<DirectOffer>, reply: DirectReply) {
        self.offers.push((*offer).clone());
        if self.hosts[host].is_cut_off || self.is_lost() {
            // The caller's end of it is closed with `reply`.
            return;
        }
        if self.is_doubled() {
            self.after_up_to(
                5 * self.plan.latency,
                Happening::CallReaches { host, offer: offer.clone(), reply: None },
            );
        }
        self.after_up_to(self.plan.latency, Happening::CallReaches { host, offer, reply: Some(reply) });
    }

    pub(super) fn call_reaches(&mut self, host: usize, offer: &DirectOffer, reply: Option<DirectReply>) {
        if self.hosts[host].core.is_none() || !self.hosts[host].plan.direct {
            return;
        }
        // A repeated one has somebody who waits for it, too.
        let reply = reply.unwrap_or_else(|| tokio::sync::oneshot::channel().0);
        let now = self.host_now(host);
        let ticket = self.hosts[host].ticket(reply);
        self.note(format_args!("host {host} is called"));
        self.with_core(host, |core| core.handle_direct_offer(now, ticket, offer));
    }

    pub(super) fn is_lost(&mut self) -> bool {
        !self.is_healing() && self.random.u32(..100) < self.plan.loss
    }

    fn is_doubled(&mut self) -> bool {
        !self.is_healing() && self.random.u32(..100) < self.plan.duplicates
    }

    fn fail_request(&mut self, host: usize, boot: u64, key: Option<PostKey>) {
        let answer = Answer::Failed(RequestFailure::Unavailable("no answer".to_owned()));
        self.after_up_to(
            NO_ANSWER_WITHIN,
            Happening::Host { host, boot, what: ToHost::Answered { answer, key } },
        );
    }

    /// When a frame comes out at the other end: in order, unless this run's streams do worse.
    fn stream_arrivals(&mut self, host: usize, number: u64, up: bool) -> Vec<Instant> {
        if self.hosts[host].is_cut_off || self.broken.contains(&(host, number)) {
            return Vec::new();
        }
        let at = Instant::now() + self.random_up_to(self.plan.latency);
        if self.plan.streams_reorder && !self.is_healing() {
            let mut arrivals = vec![at];
            if self.is_lost() {
                arrivals.clear();
            }
            if self.is_doubled() {
                arrivals.push(Instant::now() + self.random_up_to(5 * self.plan.latency));
            }
            return arrivals;
        }
        let last = self.last_arrivals.entry((host, number, up)).or_insert(at);
        *last = at.max(*last);
        vec![*last]
    }
}

fn short(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Command { attempt, envelope } => {
            format!("an offer, attempt {attempt}, {}", &envelope.signatures[0].sig[..8])
        }
        ServerFrame::Cancel { .. } => "a cancellation".to_owned(),
        other => format!("{other:?}"),
    }
}
