//! One life of a server: the real delivery on the model of the queue, its upkeep, and the tasks behind its sockets.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, interval, timeout},
};
use voltaxe_orchestrator::{
    StrikeError,
    delivery::{Caller, Delivery, DeliveryConfig},
    events::{Event, Events},
    meters::Meters,
    model::Channel,
};
use voltaxe_protocol::{AgentFrame, EndpointId, Keypair, PollResponse, ServerFrame, Telemetry};
use voltaxe_sentinel::core::{Post, RequestFailure};

use crate::{
    happening::{Happening, Tell},
    model::ModelQueue,
    plan::Plan,
};

pub const KEY: [u8; 32] = [7; 32];
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const RELEASE_EVERY: Duration = Duration::from_millis(250);
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_secs(30);
const SILENT_FOR: TimeDelta = TimeDelta::minutes(2);
/// An agent gives up a request after so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// True time in a run: the hosts' clocks differ from it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    pub fn now(self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time in 2027") + self.began.elapsed()
    }

    pub fn elapsed(self) -> Duration {
        self.began.elapsed()
    }
}

pub struct Server {
    pub delivery: Delivery<ModelQueue>,
    pub events: broadcast::Receiver<Event>,
    pub queue: ModelQueue,
    clock: Clock,
    tell: Tell,
    /// Dropped with the server: what it had going then ends, if it looks.
    life: Arc<()>,
}

impl Server {
    pub fn start(queue: ModelQueue, plan: &Plan, clock: Clock, tell: Tell) -> Self {
        let events = Events::new(1);
        let subscription = events.subscribe(None).live;
        let lease = TimeDelta::from_std(plan.lease).expect("a short lease");
        let config = DeliveryConfig { lease, strategy: plan.strategy };
        let key = Keypair::from_seed(&KEY);
        let delivery =
            Delivery::new(queue.clone(), key, config, events, Meters::default(), Some(caller(tell.clone())));
        let server = Self { delivery, events: subscription, queue, clock, tell, life: Arc::new(()) };
        server.keep_up();
        server
    }

    /// A stream was welcomed: what the gateway does from here on, until `inbox` ends.
    pub fn serve_stream(
        &self,
        host: usize,
        number: u64,
        endpoint: &EndpointId,
        mut inbox: mpsc::UnboundedReceiver<AgentFrame>,
    ) {
        let mut handle = self.delivery.connect(endpoint, number, self.clock.now());
        let socket = Socket { host, number, tell: self.tell.clone() };
        let (delivery, queue, clock) = (self.delivery.clone(), self.queue.clone(), self.clock);
        let mut gateway = Gateway { delivery, queue, clock, host, endpoint: endpoint.clone() };
        tokio::spawn(async move {
            // What could not be asked or offered now is, by the sweep.
            let _ = gateway.delivery.ask_on_stream(&gateway.endpoint).await;
            let _ = gateway.delivery.offer_on_stream(&gateway.endpoint, true, clock.now()).await;
            loop {
                tokio::select! {
                    biased;
                    frame = handle.frames.recv() => match frame {
                        Some(out) => socket.send(out.frame),
                        None => break,
                    },
                    frame = inbox.recv() => match frame {
                        Some(frame) => {
                            if let Some(answer) = gateway.hear(frame).await {
                                socket.send(answer);
                            }
                        }
                        None => break,
                    },
                }
            }
            gateway.delivery.disconnect(&handle, clock.now());
            socket.close();
        });
    }

    /// An agent's request; answered to `done` unless the server dies or takes too long.
    pub fn request(
        &self,
        host: usize,
        endpoint: &EndpointId,
        request: Request,
        done: impl FnOnce(Answer) -> Happening + Send + 'static,
    ) {
        let (delivery, queue, clock) = (self.delivery.clone(), self.queue.clone(), self.clock);
        let mut gateway = Gateway { delivery, queue, clock, host, endpoint: endpoint.clone() };
        let (tell, life) = (self.tell.clone(), Arc::downgrade(&self.life));
        tokio::spawn(async move {
            let patience = ANSWER_WITHIN + request.wait();
            let answer = timeout(patience, gateway.answer(request)).await;
            let answer = match answer {
                Ok(answer) if life.upgrade().is_some() => answer,
                _ => Answer::Failed(RequestFailure::Unavailable("no answer".to_owned())),
            };
            let _ = tell.send(done(answer));
        });
    }

    /// The clocks that `serve` keeps.
    fn keep_up(&self) {
        self.every(SWEEP_EVERY, |delivery, clock| async move { delivery.sweep(clock.now()).await });
        self.every(
            RELEASE_EVERY,
            |delivery, clock| async move { delivery.release_deferred(clock.now()).await },
        );
        self.every(FLUSH_EVERY, |delivery, _| async move { delivery.flush_started().await });
        self.every(ASK_EVERY, |delivery, clock| async move {
            delivery.ask_about_silent(clock.now() - SILENT_FOR, clock.now()).await
        });
    }

    fn every<F>(&self, period: Duration, work: impl Fn(Delivery<ModelQueue>, Clock) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), StrikeError>> + Send,
    {
        let (delivery, clock, life) = (self.delivery.clone(), self.clock, Arc::downgrade(&self.life));
        tokio::spawn(async move {
            let mut timer = interval(period);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                timer.tick().await;
                if life.upgrade().is_none() {
                    return;
                }
                // The next turn makes up for one that failed.
                let _ = work(delivery.clone(), clock).await;
            }
        });
    }
}

pub enum Request {
    Poll { wait: Duration },
    Post(Post),
}

pub enum Answer {
    Polled(PollResponse),
    Done,
    Failed(RequestFailure),
}

impl Request {
    fn wait(&self) -> Duration {
        match self {
            Self::Poll { wait } => *wait,
            Self::Post(_) => Duration::ZERO,
        }
    }
}

/// The server's end of a stream's socket.
struct Socket {
    host: usize,
    number: u64,
    tell: Tell,
}

impl Socket {
    fn send(&self, frame: ServerFrame) {
        let Self { host, number, .. } = *self;
        let _ = self.tell.send(Happening::FrameLeaves { host, number, frame });
    }

    fn close(self) {
        let _ = self.tell.send(Happening::ServerCloses { host: self.host, number: self.number });
    }
}

/// As `server/src/gateway` does it, for one verified agent.
struct Gateway {
    delivery: Delivery<ModelQueue>,
    queue: ModelQueue,
    clock: Clock,
    host: usize,
    endpoint: EndpointId,
}

impl Gateway {
    async fn hear(&mut self, frame: AgentFrame) -> Option<ServerFrame> {
        let (endpoint, now) = (&self.endpoint, self.clock.now());
        match frame {
            AgentFrame::Receipt { command_id, .. } => {
                let _ = self.delivery.receipt(endpoint, command_id, Channel::Stream, now).await;
            }
            AgentFrame::Started { command_id } => self.delivery.started(endpoint, command_id, now),
            AgentFrame::Result(result) => {
                let command_id = result.command_id;
                return match self.delivery.result(endpoint, result, Channel::Stream, now).await {
                    Ok(_) | Err(StrikeError::UnknownCommand(_)) => {
                        Some(ServerFrame::ResultRecorded { command_id })
                    }
                    // Not acknowledged, so the agent says it again.
                    Err(_) => None,
                };
            }
            AgentFrame::NotKnown { command_id } => {
                let _ = self.delivery.not_known(endpoint, command_id, now).await;
            }
            AgentFrame::Telemetry(telemetry) => self.observe(&telemetry),
            AgentFrame::Hello { .. }
            | AgentFrame::Progress { .. }
            | AgentFrame::Rejected { .. }
            | AgentFrame::Unknown => {}
        }
        None
    }

    async fn answer(&mut self, request: Request) -> Answer {
        let (endpoint, clock) = (&self.endpoint, self.clock);
        let now = clock.now();
        let outcome = match request {
            Request::Poll { wait } => {
                return match self.delivery.poll(endpoint, wait, || clock.now()).await {
                    Ok(answer) => Answer::Polled(answer),
                    Err(error) => Answer::Failed(failure(&error)),
                };
            }
            Request::Post(Post::Receipt(receipt)) => {
                self.delivery.receipt(endpoint, receipt.command_id, Channel::Polling, now).await
            }
            Request::Post(Post::NotKnown(not_known)) => {
                self.delivery.not_known(endpoint, not_known.command_id, now).await
            }
            Request::Post(Post::Result(result)) => {
                self.delivery.result(endpoint, result, Channel::Polling, now).await.map(|_| ())
            }
            Request::Post(Post::Telemetry(telemetry)) => {
                self.observe(&telemetry);
                Ok(())
            }
        };
        outcome.map_or_else(|error| Answer::Failed(failure(&error)), |()| Answer::Done)
    }

    fn observe(&self, telemetry: &Telemetry) {
        let now = self.clock.now();
        self.delivery.advertise(&self.endpoint, address_of(self.host), telemetry.agent.direct_port);
        self.queue.look(|tables| tables.observe(&self.endpoint, telemetry.isolation.clone(), now));
    }
}

fn failure(error: &StrikeError) -> RequestFailure {
    match error {
        StrikeError::UnknownCommand(_) => RequestFailure::CommandNotFound,
        StrikeError::Unavailable(_) => RequestFailure::Unavailable(error.to_string()),
        StrikeError::Internal(_) => RequestFailure::Failed(error.to_string()),
        _ => RequestFailure::NotAccepted(error.to_string()),
    }
}

fn caller(tell: Tell) -> Caller {
    Arc::new(move |address, offer| {
        let (reply, answer) = oneshot::channel();
        let host = host_at(address.ip());
        let _ = tell.send(Happening::CallLeaves { host, offer: Box::new(offer), reply });
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err("the connection broke".to_owned())) })
    })
}

fn address_of(host: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(host).expect("few hosts")).into()
}

fn host_at(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => usize::from(address.octets()[3]),
        IpAddr::V6(_) => unreachable!("only addresses of ours are advertised"),
    }
}
