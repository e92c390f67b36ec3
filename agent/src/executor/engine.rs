//! Three threads that act: the isolation's, the processes', and one for what takes its time. None waits for another.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use voltaxe_protocol::{Cancellation, Command, CommandId, PayloadType};

use super::{
    Done, Sink, Task,
    warden::{self, Duty, Warden},
};
use crate::{
    clock,
    core::{ActionOutcome, Trust},
    forensics, process,
    state_dir::StateDir,
};

/// The network process hears of progress at most so often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What an executor works with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub trust: Trust,
    pub hostname: String,
    /// Of the isolation's state file.
    pub state: StateDir,
    /// Of the bundles.
    pub evidence: PathBuf,
    /// Stays open to the server when the host is isolated.
    pub direct_port: Option<u16>,
    /// Whether an isolated host that lost its server may look for it.
    pub may_search: bool,
    /// The group that may read bundles besides the owner: the network process'.
    pub shared_with: Option<u32>,
}

/// A handle to the threads. Dropping it lets each end what it is at.
#[derive(Debug)]
pub struct Engine {
    warden: Option<mpsc::Sender<Duty>>,
    process: mpsc::Sender<(CommandId, Command)>,
    work: mpsc::Sender<(CommandId, Command)>,
    running: Arc<Running>,
    setup: Arc<Setup>,
    /// Duties of the isolation's thread that it has not come to.
    waiting: Arc<AtomicUsize>,
    isolation: Option<thread::JoinHandle<()>>,
}

/// What ends early when its flag is set.
#[derive(Debug, Default)]
struct Running(Mutex<BTreeMap<CommandId, Arc<AtomicBool>>>);

impl Engine {
    /// # Errors
    /// When the system gives no threads.
    pub fn start(setup: Setup, sink: Sink) -> io::Result<Self> {
        let setup = Arc::new(setup);
        let running = Arc::new(Running::default());
        let (warden, duties) = mpsc::channel();
        let keeper = Warden::new(&setup, Arc::clone(&sink));
        let waiting = Arc::new(AtomicUsize::new(0));
        let isolation = spawn("isolation", {
            let waiting = Arc::clone(&waiting);
            move || warden::work(keeper, &duties, &waiting)
        })?;
        let (process, queue) = mpsc::channel();
        spawn("process", {
            let (running, sink) = (Arc::clone(&running), Arc::clone(&sink));
            move || work(&queue, &running, &sink, |_, action, cancelled| process_action(action, cancelled))
        })?;
        let (slow, queue) = mpsc::channel();
        spawn("work", {
            let (running, setup) = (Arc::clone(&running), Arc::clone(&setup));
            let progress = Arc::clone(&sink);
            move || {
                work(&queue, &running, &sink, |id, action, cancelled| {
                    work_action(id, action, cancelled, &progress, &setup)
                });
            }
        })?;
        Ok(Self {
            warden: Some(warden),
            process,
            work: slow,
            running,
            setup,
            waiting,
            isolation: Some(isolation),
        })
    }

    /// Of an order that was verified.
    pub fn run(&self, id: CommandId, action: Command, servers: Vec<SocketAddr>) {
        match action {
            Command::NetworkIsolate(_)
            | Command::NetworkRestore(_)
            | Command::IsolationChange(_)
            | Command::IsolationPreview(_)
            // The network process does checks itself.
            | Command::AgentCheck(_) => {
                self.assign(Duty::Run { id, action, servers, only_if_known: false });
            }
            Command::ListProcesses(_)
            | Command::KillProcess(_)
            | Command::SuspendProcess(_)
            | Command::ResumeProcess(_) => {
                self.running.add(id);
                let _ = self.process.send((id, action));
            }
            Command::CollectForensics(_) => {
                self.running.add(id);
                let _ = self.work.send((id, action));
            }
        }
    }

    /// Of an order that has expired since: it is carried out only if that had begun before.
    pub fn take_up_again(&self, id: CommandId, action: Command, servers: Vec<SocketAddr>) {
        self.assign(Duty::Run { id, action, servers, only_if_known: true });
    }

    pub fn submit(&self, task: Task) {
        match task {
            Task::Run { .. } => {}
            Task::Interrupt { envelope } => {
                let opened =
                    envelope.open::<Cancellation>(PayloadType::Cancellation, &self.setup.trust.server_key);
                if let Ok(cancellation) = opened
                    && cancellation.endpoint_id == self.setup.trust.endpoint_id
                    && cancellation.epoch == self.setup.trust.epoch
                {
                    self.running.interrupt(cancellation.id);
                }
            }
            Task::Discard { id } => {
                if let Err(error) =
                    forensics::Spool::open(&self.setup.evidence).and_then(|spool| spool.remove(id))
                {
                    tracing::warn!(command_id = id.0, %error, "an uploaded bundle cannot be deleted");
                }
            }
            other => self.assign(Duty::Task(other)),
        }
    }

    /// Answers once the isolation's thread has come to it: a sign of life.
    pub fn ping(&self, answer: impl FnOnce() + Send + 'static) {
        self.assign(Duty::Ping(Box::new(answer)));
    }

    /// Duties of the isolation's thread that it has not come to.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether this command is waiting or being carried out.
    #[must_use]
    pub fn is_running(&self, id: CommandId) -> bool {
        self.running.lock().contains_key(&id)
    }

    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A thread that is gone has taken the process with it.
    fn assign(&self, duty: Duty) {
        if let Some(warden) = &self.warden {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = warden.send(duty);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.warden = None;
        // The others may be at something long, which the next life of the process takes up again.
        if let Some(isolation) = self.isolation.take() {
            let _ = isolation.join();
        }
    }
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CommandId, Arc<AtomicBool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: CommandId) {
        self.lock().entry(id).or_default();
    }

    fn flag(&self, id: CommandId) -> Arc<AtomicBool> {
        Arc::clone(self.lock().entry(id).or_default())
    }

    fn interrupt(&self, id: CommandId) {
        if let Some(cancelled) = self.lock().get(&id) {
            cancelled.store(true, Ordering::Relaxed);
        }
    }

    fn remove(&self, id: CommandId) {
        self.lock().remove(&id);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Until the sender is gone.
fn work(
    queue: &mpsc::Receiver<(CommandId, Command)>,
    running: &Running,
    sink: &Sink,
    act: impl Fn(CommandId, Command, &AtomicBool) -> ActionOutcome,
) {
    while let Ok((id, action)) = queue.recv() {
        #[cfg(debug_assertions)]
        crate::fault::pass("before-effect");
        let outcome = act(id, action, &running.flag(id));
        #[cfg(debug_assertions)]
        crate::fault::pass("after-effect");
        running.remove(id);
        sink(Done::Outcome { id, outcome });
    }
}

fn process_action(action: Command, cancelled: &AtomicBool) -> ActionOutcome {
    match action {
        Command::ListProcesses(_) => process::list(clock::wall()),
        Command::KillProcess(order) => process::kill(&order, clock::wall, cancelled),
        Command::SuspendProcess(order) => process::suspend(&order, clock::wall, cancelled),
        Command::ResumeProcess(order) => process::resume(&order, clock::wall, cancelled),
        other => not_ours(&other),
    }
}

fn work_action(
    id: CommandId,
    action: Command,
    cancelled: &AtomicBool,
    sink: &Sink,
    setup: &Setup,
) -> ActionOutcome {
    let Command::CollectForensics(order) = action else { return not_ours(&action) };
    // On a thread of its own, whose priority it lowers for good.
    thread::scope(|scope| {
        let collect = || collect(id, order, cancelled, sink, setup);
        match thread::Builder::new().name("collect".to_owned()).spawn_scoped(scope, collect) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => failed(format!("Nothing was collected: the system gives no thread ({error})")),
        }
    })
}

fn collect(
    id: CommandId,
    order: voltaxe_protocol::CollectForensics,
    cancelled: &AtomicBool,
    sink: &Sink,
    setup: &Setup,
) -> ActionOutcome {
    let job = forensics::Job {
        id,
        order,
        endpoint: forensics::Endpoint {
            endpoint_id: setup.trust.endpoint_id.clone(),
            epoch: setup.trust.epoch,
            hostname: setup.hostname.clone(),
        },
        directory: setup.evidence.clone(),
    };
    let mut told: Option<Instant> = None;
    let mut progress = |progress: forensics::Progress| {
        if told.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            told = Some(Instant::now());
            let forensics::Progress { step, done_steps, total_steps, bytes } = progress;
            sink(Done::Progress { id, step, done_steps, total_steps, bytes });
        }
    };
    let outcome = forensics::collect(&job, &mut progress, cancelled, &clock::wall);
    if let Some(group) = setup.shared_with
        && let Err(error) = share(&setup.evidence, id, group)
    {
        tracing::warn!(command_id = id.0, %error, "the bundle cannot be shared with the network process; it is not uploaded");
    }
    outcome
}

/// The executor's services have the group, so that they may give files to it.
fn share(evidence: &Path, id: CommandId, group: u32) -> io::Result<()> {
    let open = |path: &Path, mode: u32| {
        chown(path, None, Some(group))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    let bundle = evidence.join(id.to_string());
    open(evidence, 0o750)?;
    if !bundle.exists() {
        // Nothing came of it.
        return Ok(());
    }
    open(&bundle, 0o750)?;
    fs::read_dir(&bundle)?.try_for_each(|entry| open(&entry?.path(), 0o640))
}

fn not_ours(action: &Command) -> ActionOutcome {
    failed(format!("This agent does not carry out {} here; update it.", action.kind()))
}

fn failed(message: String) -> ActionOutcome {
    ActionOutcome { success: false, message, data: None }
}
