//! The server is away for ten minutes and 2,000 results wait for it.

use super::{invariants::Witness, outbox::MAX_POSTS, outbox::MAX_UNACKNOWLEDGED, *};
use crate::chaos::Chaos;

const RESULTS: i64 = 2000;
const OUTAGE: Duration = Duration::from_secs(600);
/// Of a request that is answered, and of one that is not.
const ANSWER: Duration = Duration::from_millis(3);
const NO_ANSWER: Duration = Duration::from_millis(200);

#[test]
fn results_wait_for_a_server_that_is_away_and_drain_in_order() {
    for by_stream in [false, true] {
        let name = if by_stream { "outage, then a stream" } else { "outage, then requests" };
        let chaos = Chaos::new(name);
        let mut world = World::new(chaos.seed, by_stream);
        world.finish_everything();
        world.outlast_the_outage();
        world.drain();
        assert_eq!(world.heard, world.finished, "in the order of finishing, each once");
        assert_eq!(world.sim.core.unreported_results(), 0);
        chaos.tell(format_args!(
            "{RESULTS} waited {} s, 0 lost, 0 doubled, in order; drained in {} ms of its time, at most {} under way; \
             {} requests in vain during the outage",
            OUTAGE.as_secs(),
            world.drained_in.as_millis(),
            world.most_under_way,
            world.in_vain,
        ));
    }
}

struct World {
    sim: Sim,
    random: fastrand::Rng,
    witness: Witness,
    by_stream: bool,
    /// Requests and frames under way, and when each is answered.
    under_way: VecDeque<(Duration, PostKey)>,
    is_server_there: bool,
    finished: Vec<i64>,
    heard: Vec<i64>,
    most_under_way: usize,
    in_vain: usize,
    drained_in: Duration,
}

impl World {
    fn new(seed: u64, by_stream: bool) -> Self {
        let sim = Sim::live();
        Self {
            sim,
            random: fastrand::Rng::with_seed(seed),
            witness: Witness::default(),
            by_stream,
            under_way: VecDeque::new(),
            is_server_there: false,
            finished: Vec::new(),
            heard: Vec::new(),
            most_under_way: 0,
            in_vain: 0,
            drained_in: Duration::ZERO,
        }
    }

    /// All are received, then the server goes, then they come to their ends.
    fn finish_everything(&mut self) {
        let mut ids: Vec<i64> = (1..=RESULTS).collect();
        self.random.shuffle(&mut ids);
        for some in ids.chunks(100) {
            self.sim.offer(&some.iter().map(|id| order(*id, check())).collect::<Vec<_>>());
        }
        self.sim.lose_stream();
        while let Some(id) = self.sim.core.busy.get(&Lane::Work).map(|id| id.0) {
            self.finished.push(id);
            self.witness.ends(id);
            self.sim.done(id);
            self.perform();
        }
        assert_eq!(self.finished.len(), usize::try_from(RESULTS).unwrap());
    }

    fn outlast_the_outage(&mut self) {
        let end = self.sim.now.uptime + OUTAGE;
        let half = end - OUTAGE / 2;
        while self.sim.now.uptime < half {
            self.step(half);
        }
        let now = self.sim.now;
        let journal = std::mem::take(&mut self.sim.journal);
        self.witness.is_on_disk(&journal);
        self.witness.crash();
        self.under_way.clear();
        self.sim = Sim::recovered(journal, now);
        self.perform();
        while self.sim.now.uptime < end {
            self.step(end);
        }
        assert!(self.heard.is_empty());
        assert!(self.in_vain < 1000, "{} requests to a server that is away", self.in_vain);
    }

    fn drain(&mut self) {
        self.is_server_there = true;
        let far = self.sim.now.uptime + Duration::from_secs(120);
        let mut first = None;
        while self.sim.core.unreported_results() > 0 {
            assert!(self.sim.now.uptime < far, "{} results are left", self.sim.core.unreported_results());
            self.step(far);
            first = first.or((!self.heard.is_empty()).then_some(self.sim.now.uptime));
        }
        self.drained_in = self.sim.now.uptime - first.unwrap();
    }

    fn step(&mut self, at_most: Duration) {
        let timer = self.sim.core.poll_timeout(self.sim.now).map_or(at_most, |(at, _)| at);
        let answer = self.under_way.front().map(|(at, _)| *at);
        let to = answer.unwrap_or(at_most).min(timer).min(at_most).max(self.sim.now.uptime);
        self.sim.now.wall += to - self.sim.now.uptime;
        self.sim.now.uptime = to;
        if answer.is_some_and(|at| at <= to) {
            let (_, key) = self.under_way.pop_front().unwrap();
            self.answer(key);
        } else {
            self.sim.core.handle_timeout(self.sim.now);
        }
        self.sim.settle();
        self.perform();
    }

    fn answer(&mut self, key: PostKey) {
        let now = self.sim.now;
        if self.sim.core.link.is_live() {
            let PostKey::Result(command_id) = key else { panic!("{key:?}") };
            self.sim.core.handle_frame(now, ServerFrame::ResultRecorded { command_id });
        } else if self.takes_requests() {
            self.sim.core.handle_posted(now, key, Ok(()));
        } else {
            self.in_vain += 1;
            self.sim.core.handle_posted(now, key, Err(RequestFailure::Unavailable("away".to_owned())));
        }
    }

    fn perform(&mut self) {
        for effect in self.sim.take() {
            match effect {
                Effect::Post(post) => {
                    if let (Post::Result(result), true) = (&post, self.takes_requests()) {
                        self.heard.push(result.command_id.0);
                        self.witness.tells(result);
                    }
                    self.take_off(post.key(), MAX_POSTS);
                }
                Effect::Send(AgentFrame::Result(result)) => {
                    self.heard.push(result.command_id.0);
                    self.witness.tells(&result);
                    self.take_off(PostKey::Result(result.command_id), MAX_UNACKNOWLEDGED);
                }
                Effect::ConnectStream if self.by_stream && self.is_server_there => {
                    self.under_way.clear();
                    self.sim.core.handle_stream_live(self.sim.now, 15);
                    self.sim.settle();
                    self.perform();
                }
                Effect::ConnectStream => {
                    let loss = StreamLoss::Unreachable("away".to_owned());
                    self.sim.core.handle_stream_lost(self.sim.now, &loss);
                }
                Effect::Poll => {
                    let failure = RequestFailure::Unavailable("away".to_owned());
                    match self.takes_requests() {
                        true => self.sim.core.handle_poll_answer(self.sim.now, PollResponse::default()),
                        false => self.sim.core.handle_poll_failed(self.sim.now, &failure),
                    }
                }
                Effect::Run { id, .. } => assert!(self.heard.is_empty(), "command {id} runs again"),
                _ => {}
            }
        }
    }

    /// In the second world only a stream gets through.
    fn takes_requests(&self) -> bool {
        self.is_server_there && !self.by_stream
    }

    fn take_off(&mut self, key: PostKey, at_most: usize) {
        let is_answered = self.takes_requests() || self.sim.core.link.is_live();
        let takes = if is_answered { ANSWER } else { NO_ANSWER };
        self.under_way.push_back((self.sim.now.uptime + takes, key));
        assert!(self.under_way.len() <= at_most, "{} are under way at once", self.under_way.len());
        self.most_under_way = self.most_under_way.max(self.under_way.len());
    }
}
