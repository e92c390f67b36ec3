use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, IsolationPreviewOutcome, PreflightKind, PreflightWarning};

use super::{IsolationError, Kernel};
use crate::isolation::{
    device::{self, Link},
    observe::Found,
    preflight,
    ruleset::{Existing, Plan, is_nameable},
    terms::Terms,
};

impl Kernel {
    /// What `isolate` on these terms would do. Changes nothing.
    #[must_use]
    pub fn preview(
        &mut self,
        servers: &[SocketAddr],
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> IsolationPreviewOutcome {
        let mut warnings = Vec::new();
        let (existing, found) = match self.ask_kernel(servers) {
            Ok(answers) => answers,
            Err(error) => {
                let message = format!(
                    "Isolating would fail: the kernel cannot be asked ({error}); the agent needs root, or CAP_NET_ADMIN, \
                     and a kernel with nftables"
                );
                warnings.push(PreflightWarning { kind: PreflightKind::Blocked, message });
                (Existing::default(), preflight::Found::default())
            }
        };
        let plan = match self.rules(CommandId(0), servers, terms, now) {
            Ok(mut rules) => {
                let nameable = |link: &&Link| is_nameable(&link.name);
                rules.devices = found.links.iter().filter(nameable).map(|link| link.name.clone()).collect();
                rules.plan(now)
            }
            Err(error) => {
                warnings.push(blocked(&error));
                Plan::new(CommandId(0), servers, &[])
            }
        };
        warnings.extend(preflight::warnings(&self.host, &found));
        let (connections_cut, connections_kept) = preflight::count_connections(&self.host, &plan);
        IsolationPreviewOutcome {
            timestamp: now,
            ruleset: plan.script(existing),
            servers: plan.servers.iter().map(ToString::to_string).collect(),
            warnings,
            sessions: preflight::sessions_cut(&self.host, &plan),
            connections_cut,
            connections_kept,
        }
    }

    fn ask_kernel(&mut self, servers: &[SocketAddr]) -> std::io::Result<(Existing, preflight::Found)> {
        let sockets = self.sockets()?;
        let existing = Found::read(&mut sockets.netfilter)?.existing();
        let links = device::links(&mut sockets.route)?;
        let ways = servers
            .iter()
            .map(|server| Ok((*server, device::way_to(&mut sockets.route, server.ip())?)))
            .collect::<std::io::Result<_>>()?;
        Ok((existing, preflight::Found { links, ways }))
    }
}

fn blocked(error: &IsolationError) -> PreflightWarning {
    PreflightWarning { kind: PreflightKind::Blocked, message: format!("Isolating would fail: {error}") }
}
