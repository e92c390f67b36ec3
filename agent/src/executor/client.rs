//! The network process' end of the executor's socket. It comes again when the executor was gone, and asks again for what was
//! not answered.

use std::{collections::VecDeque, fmt, io, path::PathBuf, time::Duration};

use tokio::{
    net::UnixStream,
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use voltaxe_protocol::{CommandId, IsolationObservation};

use super::{Done, Purpose, Sink, Task, frame, warden::refused};
use crate::{clock, core::ActionOutcome};

const RECONNECT_BASE: Duration = Duration::from_millis(100);
const RECONNECT_CAP: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// An observation that nobody can make is answered after this long: telemetry goes on.
const OBSERVE_WITHIN: Duration = Duration::from_secs(3);
/// A command that could not even be handed over fails after this long.
const START_WITHIN: Duration = Duration::from_secs(30);
/// A command that was handed over so often, to an executor that then was gone, fails.
const MAX_HANDED_OVER: u8 = 3;

/// A handle to the connection's task. Dropping it ends the task.
pub struct Client {
    tasks: mpsc::UnboundedSender<Task>,
    sink: Sink,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// In a tokio runtime.
    #[must_use]
    pub fn start(socket: PathBuf, sink: Sink) -> Self {
        let (tasks, queue) = mpsc::unbounded_channel();
        tokio::spawn(keep_connected(
            socket,
            queue,
            Connection { sink: sink.clone(), pending: VecDeque::new() },
        ));
        Self { tasks, sink }
    }

    pub(super) fn submit(&self, task: Task) {
        let _ = self.tasks.send(task);
    }

    /// A journal of an earlier agent has orders without their signatures.
    pub(super) fn cannot_be_verified(&self, id: CommandId) {
        let message = "The signature of this command was not kept by the earlier version of the agent that took it, and the \
                       executor believes nothing else; issue it again."
            .to_owned();
        (self.sink)(Done::Outcome { id, outcome: refused("not-verifiable", message) });
    }
}

struct Connection {
    sink: Sink,
    /// What is asked for again.
    pending: VecDeque<Pending>,
}

struct Pending {
    task: Task,
    since: Instant,
    handed_over: u8,
}

async fn keep_connected(
    socket: PathBuf,
    mut queue: mpsc::UnboundedReceiver<Task>,
    mut connection: Connection,
) {
    let mut failures = 0;
    let mut was_there = false;
    loop {
        match connect(&socket).await {
            Ok(stream) => {
                failures = 0;
                if std::mem::replace(&mut was_there, true) {
                    (connection.sink)(Done::Reconnected);
                }
                match connection.converse(stream, &mut queue).await {
                    None => return,
                    Some(why) => tracing::warn!("The executor is gone ({why}); waiting for it"),
                }
            }
            Err(error) => {
                if failures == 0 {
                    tracing::error!(
                        "The executor cannot be reached at {} ({error}); is voltaxe-sentinel-executor.service running? Trying \
                         again",
                        socket.display()
                    );
                }
                failures += 1;
            }
        }
        let pause = RECONNECT_BASE.saturating_mul(1 << failures.min(8)).min(RECONNECT_CAP);
        let until = Instant::now() + pause;
        while let Ok(task) = timeout_at(until, queue.recv()).await {
            let Some(task) = task else { return };
            connection.remember(task);
        }
        connection.give_up();
    }
}

/// An executor that will not serve us hangs up instead of its first word.
async fn connect(socket: &PathBuf) -> io::Result<UnixStream> {
    let mut stream = timeout(CONNECT_WITHIN, UnixStream::connect(socket)).await.map_err(|_| slow())??;
    let (executor, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if executor != 0 && executor != own {
        return Err(io::Error::other(format!(
            "user {executor} listens there, who is neither root nor user {own}"
        )));
    }
    let Some(Done::Hello { version }) =
        timeout(CONNECT_WITHIN, frame::read(&mut stream)).await.map_err(|_| slow())??
    else {
        return Err(io::Error::other(format!(
            "it hung up; it serves the user that `user` in [agent] of agent.conf names, this is user {own}"
        )));
    };
    if version != env!("CARGO_PKG_VERSION") {
        tracing::warn!(
            "The executor is version {version}, this is {}; restart both",
            env!("CARGO_PKG_VERSION")
        );
    }
    Ok(stream)
}

fn slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within 2 s")
}

impl Connection {
    /// `None` when the agent ends; else why the connection did.
    async fn converse(
        &mut self,
        stream: UnixStream,
        queue: &mut mpsc::UnboundedReceiver<Task>,
    ) -> Option<String> {
        let (mut reader, mut writer) = stream.into_split();
        let (heard, mut hearing) = mpsc::channel(1);
        // A frame is read to its end, whatever else happens.
        let reading = tokio::spawn(async move {
            loop {
                let what = frame::read::<Done>(&mut reader).await;
                let is_over = !matches!(what, Ok(Some(_)));
                if heard.send(what).await.is_err() || is_over {
                    return;
                }
            }
        });
        let abort = reading.abort_handle();
        let why = async {
            for pending in &mut self.pending {
                pending.handed_over += 1;
                if let Err(error) = frame::write(&mut writer, &pending.task).await {
                    return Some(error.to_string());
                }
            }
            loop {
                tokio::select! {
                    biased;
                    what = hearing.recv() => match what {
                        Some(Ok(Some(done))) => self.hear(done),
                        Some(Ok(None)) | None => return Some("it closed the connection".to_owned()),
                        Some(Err(error)) => return Some(error.to_string()),
                    },
                    task = queue.recv() => {
                        let task = task?;
                        let written = frame::write(&mut writer, &task).await;
                        if let Some(pending) = self.remember(task) {
                            pending.handed_over = 1;
                        }
                        if let Err(error) = written {
                            return Some(error.to_string());
                        }
                    }
                }
            }
        }
        .await;
        abort.abort();
        why
    }

    /// Observations and commands are asked for again; the rest means nothing to another executor.
    fn remember(&mut self, task: Task) -> Option<&mut Pending> {
        match task {
            Task::Run { .. } | Task::Observe { .. } => {
                self.pending.push_back(Pending { task, since: Instant::now(), handed_over: 0 });
                self.pending.back_mut()
            }
            _ => None,
        }
    }

    fn hear(&mut self, done: Done) {
        match &done {
            Done::Outcome { id, .. } => {
                self.pending
                    .retain(|pending| !matches!(&pending.task, Task::Run { id: other, .. } if other == id));
            }
            Done::Observed { purpose, .. } => self.pending.retain(
                |pending| !matches!(&pending.task, Task::Observe { purpose: other } if other == purpose),
            ),
            _ => {}
        }
        (self.sink)(done);
    }

    /// What cannot wait any longer is answered without an executor.
    fn give_up(&mut self) {
        let (over, rest) =
            std::mem::take(&mut self.pending).into_iter().partition(|pending| match &pending.task {
                Task::Observe { .. } => pending.since.elapsed() >= OBSERVE_WITHIN,
                _ if pending.handed_over == 0 => pending.since.elapsed() >= START_WITHIN,
                _ => pending.handed_over >= MAX_HANDED_OVER,
            });
        self.pending = rest;
        let over: VecDeque<Pending> = over;
        for Pending { task, handed_over, .. } in over {
            match task {
                Task::Observe { purpose } => self.observe_nothing(purpose),
                Task::Run { id, .. } => {
                    let outcome = if handed_over == 0 { not_started() } else { stopped(handed_over) };
                    (self.sink)(Done::Outcome { id, outcome });
                }
                _ => {}
            }
        }
    }

    fn observe_nothing(&self, purpose: Purpose) {
        let detail = Some("the executor is not there; start voltaxe-sentinel-executor.service".to_owned());
        let observation =
            IsolationObservation { observed_at: clock::wall(), detail, ..IsolationObservation::default() };
        (self.sink)(Done::Observed { purpose, observation });
    }
}

fn not_started() -> ActionOutcome {
    refused(
        "no-executor",
        "Nothing was done: the executor is not there; start voltaxe-sentinel-executor.service on the host."
            .to_owned(),
    )
}

fn stopped(times: u8) -> ActionOutcome {
    ActionOutcome {
        success: false,
        message: format!(
            "The executor stopped {times} times while carrying this out; see its log on the host for what was done."
        ),
        data: None,
    }
}
