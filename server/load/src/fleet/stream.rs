//! The WebSocket that an agent holds.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;
use voltaxe_protocol::{AgentFrame, CommandId, CommandResult, MAX_FRAME_BYTES, ServerFrame};

use super::{Counters, Shared, Step};
use crate::{
    agent::{Offered, SimAgent},
    clock,
    faults::Line,
    http, seed,
};

/// The library's default is 128 KiB a connection.
const BUFFER_BYTES: usize = 4 * 1024;
const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// The server pings every 15 s.
const SILENT_FOR: Duration = Duration::from_secs(45);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Holds a stream until `stop`, opening it again after every loss.
pub(super) async fn hold(agent: &Arc<SimAgent>, shared: &Arc<Shared>, stop: &CancellationToken) {
    let mut random = seed::generator(shared.seed, "stream", agent.identity.index);
    let mut failures = 0;
    while !stop.is_cancelled() {
        let life = async {
            match join(agent, shared, &mut random).await {
                Ok(mut session) => {
                    failures = 0;
                    let _open = Open::count(shared);
                    session.talk(stop).await
                }
                Err(lost) => {
                    failures += 1;
                    Counters::add(&shared.counters.join_failures);
                    Err(lost)
                }
            }
        };
        let ended = tokio::select! {
            ended = life => ended,
            () = stop.cancelled() => return,
        };
        if ended == Err(Lost::Refused) {
            Counters::add(&shared.counters.refusals);
        }
        if ended != Err(Lost::OnPurpose) {
            let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(failures.min(8)));
            let pause = pause.mul_f64(0.5 + random.f64() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Why a stream is no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lost {
    Broken,
    Refused,
    OnPurpose,
}

/// Counts an open stream for as long as it lives.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn count(shared: &'a Shared) -> Self {
        Counters::add(&shared.counters.streams);
        Counters::add(&shared.counters.joins);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.counters.streams.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn join<'a>(
    agent: &'a SimAgent,
    shared: &'a Shared,
    random: &mut fastrand::Rng,
) -> Result<Session<'a>, Lost> {
    let _turn = shared.joining.acquire().await.map_err(|_| Lost::Broken)?;
    let began = Instant::now();
    let joining = async {
        let mut socket = connect(agent, shared).await?;
        let ServerFrame::Challenge { nonce, .. } = hear(&mut socket).await? else { return Err(Lost::Broken) };
        say(&mut socket, &agent.hello(nonce, clock::now())).await?;
        socket.flush().await.map_err(|_| Lost::Broken)?;
        match hear(&mut socket).await? {
            ServerFrame::Welcome { telemetry_interval_seconds } => Ok((socket, telemetry_interval_seconds)),
            ServerFrame::Refused { .. } => Err(Lost::Refused),
            _ => Err(Lost::Broken),
        }
    };
    let (socket, interval) = tokio::time::timeout(JOIN_WITHIN, joining).await.map_err(|_| Lost::Broken)??;
    shared.watch.joined(agent.identity.index, began.elapsed());
    Ok(Session::new(agent, shared, socket, Duration::from_secs(u64::from(interval)), random))
}

async fn connect(agent: &SimAgent, shared: &Shared) -> Result<Socket, Lost> {
    let source = shared.target.source_of(agent.identity.index);
    let tcp = http::dial(&shared.target, source).await.map_err(|_| Lost::Broken)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let address = format!("ws://{}/agent/stream", shared.target.authority());
    let (socket, _) = client_async_with_config(address, tcp, Some(config)).await.map_err(|_| Lost::Broken)?;
    Ok(socket)
}

/// An open stream, with everything that is to happen on it later.
struct Session<'a> {
    agent: &'a SimAgent,
    shared: &'a Shared,
    socket: Socket,
    random: fastrand::Rng,
    inbound: Line<ServerFrame>,
    outbound: Line<AgentFrame>,
    work: BinaryHeap<Reverse<(Instant, CommandId)>>,
    telemetry_every: Duration,
    telemetry_at: Option<Instant>,
    report_again_at: Instant,
    /// The newest command whose result waited when results were last told again.
    told_up_to: Option<CommandId>,
    silent_at: Instant,
    leave_at: Option<Instant>,
}

impl<'a> Session<'a> {
    fn new(
        agent: &'a SimAgent,
        shared: &'a Shared,
        socket: Socket,
        telemetry_every: Duration,
        random: &mut fastrand::Rng,
    ) -> Self {
        let now = Instant::now();
        let habits = &shared.habits;
        let telemetry_every = habits.telemetry_every.unwrap_or(telemetry_every);
        Self {
            agent,
            shared,
            socket,
            inbound: Line::new(habits.inbound, random.fork()),
            outbound: Line::new(habits.outbound, random.fork()),
            work: BinaryHeap::new(),
            telemetry_every,
            telemetry_at: habits.telemetry.then(|| now + telemetry_every.mul_f64(random.f64())),
            report_again_at: now + habits.report_again_after,
            told_up_to: None,
            silent_at: now + SILENT_FOR,
            leave_at: habits.stream_lasts.map(|lasts| now + lasts.mul_f64(0.5 + random.f64())),
            random: random.fork(),
        }
    }

    async fn talk(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        self.say_telemetry().await?;
        self.take_up().await?;
        loop {
            self.socket.flush().await.map_err(|_| Lost::Broken)?;
            let wake_at = tokio::time::Instant::from_std(self.wakes_at());
            let agent = self.agent;
            tokio::select! {
                message = self.socket.next() => {
                    self.silent_at = Instant::now() + SILENT_FOR;
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            let frame = serde_json::from_str(&text).map_err(|_| Lost::Broken)?;
                            self.hear(frame).await?;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        _ => return Err(Lost::Broken),
                    }
                }
                () = tokio::time::sleep_until(wake_at) => {}
                () = agent.wake.notified() => self.take_up().await?,
                () = stop.cancelled() => {
                    let _ = self.socket.close(None).await;
                    return Ok(());
                }
            }
            self.do_what_is_due().await?;
        }
    }

    fn wakes_at(&self) -> Instant {
        let work = self.work.peek().map(|Reverse((at, _))| *at);
        let late =
            [work, self.inbound.next_due(), self.outbound.next_due(), self.telemetry_at, self.leave_at];
        late.into_iter().flatten().fold(self.silent_at.min(self.report_again_at), Instant::min)
    }

    /// What an earlier stream, or another channel, has left to do.
    async fn take_up(&mut self) -> Result<(), Lost> {
        for (id, not_before) in self.agent.waiting() {
            self.schedule(id, not_before);
        }
        for result in self.agent.unreported() {
            self.say(AgentFrame::Result(result)).await?;
        }
        Ok(())
    }

    /// Only what waits for its acknowledgement since the time before: the newest may be on their way.
    async fn report_again(&mut self) -> Result<(), Lost> {
        self.report_again_at = Instant::now() + self.shared.habits.report_again_after;
        let unreported = self.agent.unreported();
        let told_before =
            std::mem::replace(&mut self.told_up_to, unreported.iter().map(|result| result.command_id).max());
        for result in unreported {
            if Some(result.command_id) <= told_before {
                self.say(AgentFrame::Result(result)).await?;
            }
        }
        Ok(())
    }

    async fn do_what_is_due(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        while let Some(frame) = self.inbound.due(now) {
            self.act_on(frame).await?;
        }
        while let Some(frame) = self.outbound.due(now) {
            say(&mut self.socket, &frame).await?;
        }
        while self.work.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, id))) = self.work.pop() {
                self.execute(id).await?;
            }
        }
        if self.telemetry_at.is_some_and(|at| at <= now) {
            self.telemetry_at = Some(now + self.telemetry_every.mul_f64(0.9 + self.random.f64() / 5.0));
            self.say_telemetry().await?;
        }
        if self.report_again_at <= now {
            self.report_again().await?;
        }
        if self.silent_at <= now {
            return Err(Lost::Broken);
        }
        if self.leave_at.is_some_and(|at| at <= now) { Err(Lost::OnPurpose) } else { Ok(()) }
    }

    async fn hear(&mut self, frame: ServerFrame) -> Result<(), Lost> {
        for frame in self.inbound.pass(frame, Instant::now()) {
            self.act_on(frame).await?;
        }
        Ok(())
    }

    async fn act_on(&mut self, frame: ServerFrame) -> Result<(), Lost> {
        match frame {
            ServerFrame::Command { attempt, envelope } => {
                let arrived = Instant::now();
                let offered = self.agent.offered(attempt, &envelope, clock::now());
                self.note_offer(&offered, arrived);
                match offered {
                    Offered::Accepted { receipt, id, .. } => {
                        self.say(receipt).await?;
                        self.socket.flush().await.map_err(|_| Lost::Broken)?;
                        self.receipted(id);
                        let not_before = self.agent.not_before(id);
                        self.schedule(id, not_before);
                    }
                    Offered::Known { receipt, result } => {
                        self.say(receipt).await?;
                        self.say(AgentFrame::Result(*result)).await?;
                    }
                    Offered::Rejected(reason) => self.say(AgentFrame::Rejected { reason }).await?,
                }
            }
            ServerFrame::Cancel { envelope } => {
                if let Some(result) = self.agent.cancelled(&envelope) {
                    self.say(AgentFrame::Result(result)).await?;
                }
            }
            ServerFrame::Query { command_id } => {
                let answer = self.agent.answer(command_id);
                self.say(answer).await?;
            }
            ServerFrame::ResultRecorded { command_id } => {
                if self.agent.recorded(command_id) {
                    Counters::add(&self.shared.counters.recorded);
                    let at = Instant::now();
                    self.shared.watch.command(self.agent.identity.index, command_id, Step::Recorded, at);
                }
            }
            ServerFrame::Refused { .. } => return Err(Lost::Refused),
            ServerFrame::Challenge { .. } | ServerFrame::Welcome { .. } | ServerFrame::Unknown => {}
        }
        Ok(())
    }

    fn note_offer(&self, offered: &Offered, arrived: Instant) {
        let counters = &self.shared.counters;
        Counters::add(&counters.offers);
        match offered {
            Offered::Accepted { id, is_new, .. } => {
                if !is_new {
                    Counters::add(&counters.repeats);
                }
                self.shared.watch.command(self.agent.identity.index, *id, Step::Offered, arrived);
            }
            Offered::Known { .. } => Counters::add(&counters.repeats),
            Offered::Rejected(_) => Counters::add(&counters.rejected),
        }
    }

    fn receipted(&self, id: CommandId) {
        Counters::add(&self.shared.counters.receipts);
        self.shared.watch.command(self.agent.identity.index, id, Step::Receipted, Instant::now());
    }

    /// The effect is brought about when its time has come; one without delay in this very turn.
    fn schedule(&mut self, id: CommandId, not_before: Option<chrono::DateTime<chrono::Utc>>) {
        let early = not_before.and_then(|at| (at - clock::now()).to_std().ok()).unwrap_or_default();
        let takes = match self.shared.habits.effect_takes {
            Duration::ZERO => Duration::ZERO,
            most => most.mul_f64(self.random.f64()),
        };
        self.work.push(Reverse((Instant::now() + early + takes, id)));
    }

    async fn execute(&mut self, id: CommandId) -> Result<(), Lost> {
        let Some(result) = self.agent.execute(id, clock::now()) else {
            // Two clocks are read: it may be a moment too early.
            if let Some(not_before) = self.agent.not_before(id) {
                self.schedule(id, Some(not_before));
            }
            return Ok(());
        };
        Counters::add(&self.shared.counters.effects);
        self.shared.watch.command(self.agent.identity.index, id, Step::Executed, Instant::now());
        let shows_isolation = is_isolation(&result);
        self.say(AgentFrame::Started { command_id: id }).await?;
        self.say(AgentFrame::Result(result)).await?;
        if shows_isolation { self.say_telemetry().await } else { Ok(()) }
    }

    async fn say_telemetry(&mut self) -> Result<(), Lost> {
        Counters::add(&self.shared.counters.telemetry);
        let telemetry = self.agent.telemetry(clock::now());
        self.say(AgentFrame::Telemetry(Box::new(telemetry))).await
    }

    async fn say(&mut self, frame: AgentFrame) -> Result<(), Lost> {
        for frame in self.outbound.pass(frame, Instant::now()) {
            say(&mut self.socket, &frame).await?;
        }
        Ok(())
    }
}

fn is_isolation(result: &CommandResult) -> bool {
    result.data.as_ref().is_some_and(|data| data.get("isolated").is_some())
}

/// Handed to the buffer; the caller flushes.
async fn say(socket: &mut Socket, frame: &AgentFrame) -> Result<(), Lost> {
    let text = serde_json::to_string(frame).map_err(|_| Lost::Broken)?;
    socket.feed(Message::Text(text.into())).await.map_err(|_| Lost::Broken)
}

async fn hear(socket: &mut Socket) -> Result<ServerFrame, Lost> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).map_err(|_| Lost::Broken),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(Lost::Broken),
        }
    }
}
