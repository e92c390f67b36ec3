use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::{Value, json};
use voltaxe_protocol::Envelope;

use crate::{
    agent::{Host, USER},
    net::{PORT, SERVER, eventually},
};

/// A network process that somebody took over: it may say anything.
pub(super) struct Intruder(pub(super) UnixStream);

impl Intruder {
    /// As the agent's user.
    pub(super) fn at(host: &Host<'_>) -> Self {
        eventually("the executor takes the connection", || {
            let mut intruder = Self(connect_as(host, USER)?);
            (intruder.hear()?["done"] == "hello").then_some(intruder)
        })
    }

    pub(super) fn say(&mut self, task: &Value) {
        let body = serde_json::to_vec(task).unwrap();
        let head = u32::try_from(body.len()).unwrap().to_be_bytes();
        // An executor that hung up may not read it.
        let _ = self.0.write_all(&[&head[..], &body].concat());
    }

    /// `None` when the executor hung up.
    pub(super) fn hear(&mut self) -> Option<Value> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).ok()?;
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        self.0.read_exact(&mut body).ok()?;
        serde_json::from_slice(&body).ok()
    }

    pub(super) fn ask(&mut self, task: &Value) -> Option<Value> {
        self.say(task);
        loop {
            let done = self.hear()?;
            if done["done"] != "changed" && done["done"] != "progress" {
                return Some(done);
            }
        }
    }

    pub(super) fn run(&mut self, id: i64, envelope: &Envelope) -> Value {
        let servers = [format!("{}:{PORT}", SERVER[0])];
        self.ask(&json!({"task": "run", "id": id, "envelope": envelope, "servers": servers}))
            .expect("an answer")
    }

    pub(super) fn refusal(&mut self, id: i64, envelope: &Envelope) -> String {
        let done = self.run(id, envelope);
        assert_eq!((&done["done"], &done["id"]), (&json!("outcome"), &json!(id)), "{done}");
        done["outcome"]["data"]["refused"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
    }
}

/// A thread of its own takes the user's identity: the kernel notes it at the connection.
pub(super) fn connect_as(host: &Host<'_>, user: u32) -> Option<UnixStream> {
    let socket = host.socket();
    let connected = std::thread::scope(|scope| {
        scope
            .spawn(move || {
                let id = rustix::process::Uid::from_raw(user);
                // Of this thread alone.
                rustix::thread::set_thread_res_gid(
                    rustix::process::Gid::from_raw(user),
                    rustix::process::Gid::from_raw(user),
                    rustix::process::Gid::from_raw(user),
                )
                .unwrap();
                rustix::thread::set_thread_res_uid(id, id, id).unwrap();
                UnixStream::connect(socket)
            })
            .join()
            .unwrap()
    });
    let stream = connected.ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Some(stream)
}
