//! The floor of the polls: a route that does nothing, in a process of its own.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use axum::{Router, http::StatusCode, routing::get};
use clap::Args;
use tokio::io::AsyncReadExt as _;

use crate::target::Target;

#[derive(Args, Debug)]
pub struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves until its standard input closes: it ends with the bench.
pub async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route("/command/poll", get(async || StatusCode::NO_CONTENT));
    let (mut input, mut rest) = (tokio::io::stdin(), Vec::new());
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.context("the bare route ended"),
        _ = input.read_to_end(&mut rest) => Ok(()),
    }
}

/// A running one.
pub(super) struct Bare {
    pub(super) target: Target,
    child: Child,
}

impl Bare {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["bare-route", "--listen", &address.to_string()])
            .stdin(Stdio::piped())
            .spawn()?;
        let bare = Self { target: format!("http://{address}").parse()?, child };
        let deadline = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if Instant::now() > deadline {
                bail!("the bare route did not start");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
