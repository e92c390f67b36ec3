//! The executor as a process of its own: a Unix socket with one client at a time, whose user is known.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{Done, Engine, Enrolled, Setup, Task, frame, gate::Gate, memory::Memory};
use crate::{clock, service_manager::ServiceManager};

/// Tasks that wait for the thread that hands them out.
const MAX_WAITING_TASKS: usize = 64;
/// An agent in its right mind has a handful under way.
const MAX_WAITING_DUTIES: usize = 64;

/// How the socket is shared.
#[derive(Clone, Debug)]
pub struct Server {
    pub socket: PathBuf,
    /// The only user that is served.
    pub client_uid: u32,
    pub client_gid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Name another path, or make its directory.
    #[error(
        "the executor cannot listen at {path}; make its directory, or set another `executor_socket` in [agent] of agent.conf"
    )]
    Socket { path: PathBuf, source: io::Error },
    #[error("{path} is there and is no socket; set another `executor_socket` in [agent] of agent.conf")]
    NotASocket { path: PathBuf },
    /// The service's directory must pass its group on.
    #[error(
        "the socket {path} cannot be given to group {gid}; let its directory belong to that group, with the set-group-id bit"
    )]
    Group { path: PathBuf, gid: u32, source: io::Error },
    #[error("the system gives no threads or signals")]
    System(#[source] io::Error),
}

/// One connection.
struct Client {
    number: u64,
    writer: OwnedWriteHalf,
    reader: JoinHandle<()>,
}

enum Heard {
    Task(Task),
    Closed(String),
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    Stopped,
    /// This host was enrolled again: another server key, or another epoch, counts from now on.
    EnrolledAnew,
}

/// Runs until `stop` ends. Isolation is left as it is.
pub async fn serve(
    server: &Server,
    setup: Setup,
    stop: impl Future<Output = ()>,
) -> Result<Ended, ServerError> {
    let (state, trust) = (setup.state.clone(), setup.trust.clone());
    let listener = listen(server)?;
    let memory = Memory::read(setup.state.clone());
    let (dones, mut done) = mpsc::unbounded_channel();
    let sink = Arc::new(move |done| {
        let _ = dones.send(done);
    });
    let mut gate = Gate::new(Engine::start(setup, sink).map_err(ServerError::System)?, memory);
    let (heard, mut hearing) = mpsc::channel(MAX_WAITING_TASKS);
    let manager = ServiceManager::from_environment();
    manager.ready();
    tracing::info!(socket = %server.socket.display(), "The executor waits for the agent");

    let mut client: Option<Client> = None;
    let mut number = 0;
    let mut next_sign = Instant::now();
    let mut stop = std::pin::pin!(stop);
    let ended = loop {
        tokio::select! {
            biased;
            () = &mut stop => break Ended::Stopped,
            Some(done) = done.recv() => {
                gate.note(&done);
                say(&mut client, &done).await;
            }
            Some((from, heard)) = hearing.recv() => if client.as_ref().is_some_and(|client| client.number == from) {
                match heard {
                    Heard::Task(_) if gate.engine().waiting() >= MAX_WAITING_DUTIES => {
                        tracing::warn!("The agent asks for more than can be done; it has to come again");
                        client = None;
                    }
                    Heard::Task(task) => if let Some(done) = gate.take(task, clock::wall()) {
                        say(&mut client, &done).await;
                    },
                    Heard::Closed(why) => {
                        tracing::info!("The agent is gone: {why}");
                        client = None;
                    }
                }
            },
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                if let Err(why) = is_welcome(&stream, server, client.is_some()) {
                    tracing::warn!("A connection is turned away: {why}");
                    continue;
                }
                // Who enrols a host starts its agent anew.
                if Enrolled::read(&state).is_ok_and(|now| now.is_some_and(|now| !now.is_by(&trust))) {
                    tracing::info!("This host was enrolled again; beginning anew");
                    break Ended::EnrolledAnew;
                }
                number += 1;
                let (reader, writer) = stream.into_split();
                let reader = tokio::spawn(listen_to(reader, number, heard.clone()));
                client = Some(Client { number, writer, reader });
                tracing::info!("The agent is here");
                say(&mut client, &Done::Hello { version: env!("CARGO_PKG_VERSION").to_owned() }).await;
            },
            () = sleep_until(next_sign), if manager.sign_every().is_some() => {
                let sign = manager.clone();
                gate.engine().ping(move || sign.alive());
                next_sign = Instant::now() + manager.sign_every().unwrap_or(Duration::MAX);
            }
        }
    };
    if ended == Ended::Stopped {
        manager.stopping();
        let _ = fs::remove_file(&server.socket);
    }
    Ok(ended)
}

fn listen(server: &Server) -> Result<UnixListener, ServerError> {
    let path = &server.socket;
    let failed = |source| ServerError::Socket { path: path.clone(), source };
    match fs::symlink_metadata(path) {
        Ok(old) if old.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(ServerError::NotASocket { path: path.clone() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    give_to_group(path, server.client_gid)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// A directory with the set-group-id bit has done it already, for an executor that may not.
fn give_to_group(path: &Path, gid: u32) -> Result<(), ServerError> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.gid() == gid) {
        return Ok(());
    }
    std::os::unix::fs::chown(path, None, Some(gid)).map_err(|source| ServerError::Group {
        path: path.to_owned(),
        gid,
        source,
    })
}

fn is_welcome(stream: &UnixStream, server: &Server, is_busy: bool) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|error| error.to_string())?;
    if peer.uid() != server.client_uid {
        return Err(format!("user {} may not use the executor, user {} may", peer.uid(), server.client_uid));
    }
    if is_busy { Err("the executor serves one agent at a time".to_owned()) } else { Ok(()) }
}

async fn say(client: &mut Option<Client>, done: &Done) {
    if let Some(there) = client
        && let Err(error) = frame::write(&mut there.writer, done).await
    {
        tracing::warn!(%error, "The agent does not listen; it has to come again");
        *client = None;
    }
}

async fn listen_to(mut reader: OwnedReadHalf, number: u64, heard: mpsc::Sender<(u64, Heard)>) {
    loop {
        let what = match frame::read(&mut reader).await {
            Ok(Some(task)) => Heard::Task(task),
            Ok(None) => Heard::Closed("it closed the connection".to_owned()),
            Err(error) => Heard::Closed(error.to_string()),
        };
        let is_over = matches!(what, Heard::Closed(_));
        if heard.send((number, what)).await.is_err() || is_over {
            return;
        }
    }
}
