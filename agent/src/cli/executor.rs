use std::{fs, os::unix::fs::chown};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Places, end_with_any_thread, start_log};
use crate::{
    config::Config,
    executor::{Ended, Enrolled, Server, Setup, serve},
    identity::{self, Grant},
    state_dir::StateDir,
    users::User,
};

const ISOLATION_FILE: &str = "isolation.json";

pub(super) fn run(places: &Places) -> anyhow::Result<()> {
    let config = places.load()?;
    start_log(config.log_level);
    end_with_any_thread();
    let socket = config.executor_socket.clone().context(
        "there is nowhere to listen; set `executor_socket` in [agent] of agent.conf, for example \
         /run/voltaxe-sentinel/executor.sock",
    )?;
    let user = user_of(&config)?;
    let state = StateDir::open_passable(&config.executor_state_dir)?;
    let _lock = state.lock()?;
    chown(state.root(), None, Some(user.gid)).with_context(|| {
        format!(
            "{} cannot be given to group {}; run the executor as root, or with that group",
            state.root().display(),
            user.gid
        )
    })?;
    let server = Server { socket, client_uid: user.uid, client_gid: user.gid };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut stop = std::pin::pin!(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        while serve(&server, set_up(&config, &state, user)?, &mut stop).await? == Ended::EnrolledAnew {}
        anyhow::Ok(())
    })?;
    tracing::info!("Stopped; isolation stays as it is");
    Ok(())
}

fn set_up(config: &Config, state: &StateDir, user: User) -> anyhow::Result<Setup> {
    let enrolled = Enrolled::read(state).context("executor.json cannot be read; enrol again")?.context(
        "this host is not enrolled for an executor; run voltaxe-sentinel enroll as root, or after an update \
         voltaxe-sentinel executor --adopt",
    )?;
    Ok(Setup {
        trust: enrolled.trust().context("executor.json is damaged; enrol again")?,
        hostname: enrolled.hostname,
        evidence: state.path("evidence"),
        state: state.clone(),
        direct_port: config.direct_listen.map(|address| address.port()),
        may_search: config.may_rediscover,
        shared_with: Some(user.gid),
    })
}

pub(super) fn adopt_only(places: &Places) -> anyhow::Result<()> {
    let config = places.load()?;
    if config.executor_socket.is_none() {
        return Ok(());
    }
    let executor = StateDir::open_passable(&config.executor_state_dir)?;
    if Enrolled::read(&executor)?.is_some() {
        return Ok(());
    }
    match identity::read_grant(&StateDir::look_at(&config.state_dir))? {
        Some(grant) => adopt(&config, &grant),
        None => Ok(()),
    }
}

/// Divides what is in the state directory between the executor and the agent's user.
pub(super) fn adopt(config: &Config, grant: &Grant) -> anyhow::Result<()> {
    let user = user_of(config)?;
    let (agent, executor) =
        (StateDir::look_at(&config.state_dir), StateDir::open_passable(&config.executor_state_dir)?);
    let (old, new) = (agent.path(ISOLATION_FILE), executor.path(ISOLATION_FILE));
    if old.exists() {
        if !new.exists() {
            let content = fs::read(&old).with_context(|| format!("{} cannot be read", old.display()))?;
            executor
                .write(ISOLATION_FILE, &content)
                .with_context(|| format!("{} cannot be written", new.display()))?;
        }
        fs::remove_file(&old).with_context(|| format!("{} cannot be removed", old.display()))?;
    }
    Enrolled::from(grant).write(&executor).context("executor.json cannot be written")?;
    let give = |path: &std::path::Path| {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).with_context(|| {
            format!("{} cannot be given to the user {}; run this as root", path.display(), config.user)
        })
    };
    give(agent.root())?;
    for entry in fs::read_dir(agent.root()).context("the state directory cannot be read")? {
        give(&entry?.path())?;
    }
    Ok(())
}

pub(super) fn user_of(config: &Config) -> anyhow::Result<User> {
    User::find(&config.user).with_context(|| {
        format!(
            "there is no user {}; make it, or name another with `user` in [agent] of agent.conf",
            config.user
        )
    })
}
