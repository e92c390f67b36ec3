//! The line to the server through an isolation's rules: new rules hold for good only once the server has answered through
//! them, and while they hold the server is asked again where it can be reached.
//!
//! The kernel lifts rules that nobody confirmed by itself ([`LIFTED_AFTER`]): all that is done here may fail, at any point.

use std::time::Duration;

use tracing::{info, warn};
use voltaxe_protocol::{
    CommandId, IsolationObservation, ObservedIsolation, PayloadType, ProbeAnswer, ProbeClaims,
};

use super::{Core, Effect, Entry, Now, Phase, RequestFailure, Trust};

/// The kernel's own limit for rules that were not confirmed.
pub const LIFTED_AFTER: Duration = Duration::from_secs(30);
/// From the new rules to the decision. The rest of [`LIFTED_AFTER`] is for taking them back in good order.
const DECIDE_WITHIN: Duration = Duration::from_secs(25);
/// Between the starts of two probes, while the rules are on probation.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// An isolated host asks the server where it is, this often; so that a move of the server is known before it happens.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// The longest pause between two searches for a server that does not answer.
const SEARCH_CAP: Duration = Duration::from_secs(900);

#[derive(Debug, Default)]
pub(super) struct Lifeline {
    probation: Option<Probation>,
    refresh: Refresh,
}

/// Rules that are lifted unless the server answers.
#[derive(Debug)]
struct Probation {
    /// Of the isolate or change.
    id: CommandId,
    nonce: String,
    deadline: Duration,
    step: Step,
    /// Why there is no answer yet.
    why: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Probing {
        next: Duration,
    },
    Waiting {
        until: Duration,
    },
    /// The executor has the answer.
    Confirming,
    RollingBack,
}

/// Of rules that hold for good.
#[derive(Debug, Default)]
struct Refresh {
    /// `None` while the host is not isolated, or one is under way.
    due: Option<Duration>,
    /// Set while one is under way.
    nonce: Option<String>,
    is_under_way: bool,
    is_isolated: bool,
    /// In a row.
    failures: u32,
}

impl Core {
    /// An isolate's rules are in the kernel and end by themselves. `nonce` is what the server has to sign.
    pub fn handle_provisional(&mut self, now: Now, id: CommandId, nonce: String) {
        if !matches!(self.ledger.get(id).map(Entry::phase), Some(Phase::Running)) {
            return;
        }
        info!(command_id = id.0, "The rules are applied provisionally; asking the server through them");
        self.effects.push_back(Effect::Probe { nonce: nonce.clone() });
        self.lifeline.probation = Some(Probation {
            id,
            nonce,
            deadline: now.uptime + DECIDE_WITHIN,
            step: Step::Probing { next: now.uptime + PROBE_EVERY },
            why: "no answer".to_owned(),
        });
        self.telemetry_soon(now);
    }

    /// What the executor wants signed, of a host that is isolated for good. The answer to [`Effect::Challenge`]; `None` when there
    /// is nothing to keep up.
    pub fn handle_challenge(&mut self, now: Now, nonce: Option<String>) {
        match nonce {
            Some(nonce) => {
                self.lifeline.refresh.nonce = Some(nonce.clone());
                self.effects.push_back(Effect::Probe { nonce });
            }
            None => self.refresh_ended(now, true),
        }
    }

    /// The answer to [`Effect::Probe`].
    pub fn handle_probed(&mut self, now: Now, nonce: &str, outcome: Result<ProbeAnswer, RequestFailure>) {
        let checked = match outcome {
            Ok(answer) => check(&answer, nonce, &self.trust).map(|claims| (answer, claims)),
            Err(failure) => Err(failure.to_string()),
        };
        match checked {
            Ok((ProbeAnswer { answer }, claims)) => {
                if let Some(probation) = self.lifeline.probation_of(nonce) {
                    probation.step = Step::Confirming;
                } else if self.lifeline.refresh.nonce.as_deref() != Some(nonce) {
                    return;
                }
                self.effects.push_back(Effect::Confirm {
                    nonce: claims.nonce,
                    answer,
                    addresses: claims.addresses,
                });
            }
            Err(why) => self.no_answer(now, nonce, why),
        }
    }

    /// The executor did not accept an answer.
    pub fn handle_not_confirmed(&mut self, now: Now, nonce: &str, why: String) {
        self.no_answer(now, nonce, why);
    }

    /// The rules of an isolated host are up to date.
    pub fn handle_refreshed(&mut self, now: Now) {
        self.refresh_ended(now, true);
    }

    /// A search for the server is over. The next probe shows what it brought.
    pub fn handle_searched(&mut self, now: Now) {
        if self.lifeline.refresh.is_isolated {
            self.lifeline.refresh.due = Some(now.uptime);
        }
    }

    /// The executor was gone and knows nothing of what it was asked before. Commands are asked for again without us, so that one
    /// on probation begins anew.
    pub fn handle_executor_back(&mut self, now: Now) {
        self.lifeline.probation = None;
        if self.lifeline.refresh.is_under_way {
            self.refresh_ended(now, true);
        }
        self.telemetry_soon(now);
    }

    /// Somebody changed the rules, or they ended by themselves.
    pub fn handle_isolation_changed(&mut self, now: Now) {
        self.telemetry_soon(now);
    }

    pub(super) fn probation_ended(&mut self, id: CommandId) {
        if self.lifeline.probation.as_ref().is_some_and(|probation| probation.id == id) {
            self.lifeline.probation = None;
        }
    }

    pub(super) fn note_isolation(&mut self, now: Now, observed: &IsolationObservation) {
        let is_isolated = !observed.is_provisional
            && matches!(observed.state, ObservedIsolation::Isolated | ObservedIsolation::Partial);
        let refresh = &mut self.lifeline.refresh;
        if is_isolated && !refresh.is_isolated {
            *refresh = Refresh { due: Some(now.uptime + REFRESH_EVERY), is_isolated, ..Refresh::default() };
        } else if !is_isolated {
            *refresh = Refresh { is_under_way: refresh.is_under_way, ..Refresh::default() };
        }
    }

    pub(super) fn lifeline_due(&self) -> Option<Duration> {
        let probation = self.lifeline.probation.as_ref().and_then(|probation| match probation.step {
            Step::Probing { .. } => Some(probation.deadline),
            Step::Waiting { until } => Some(until.min(probation.deadline)),
            Step::Confirming | Step::RollingBack => None,
        });
        probation.into_iter().chain(self.lifeline.refresh.due).min()
    }

    pub(super) fn keep_lifeline(&mut self, now: Now) {
        if let Some(probation) = &mut self.lifeline.probation {
            match probation.step {
                Step::Probing { .. } | Step::Waiting { .. } if probation.deadline <= now.uptime => {
                    warn!(
                        command_id = probation.id.0,
                        "The server is not reached through the new rules ({}); taking them back",
                        probation.why
                    );
                    probation.step = Step::RollingBack;
                    let (id, why) = (probation.id, probation.why.clone());
                    self.effects.push_back(Effect::RollBack { id, why });
                }
                Step::Waiting { until } if until <= now.uptime => {
                    probation.step = Step::Probing { next: now.uptime + PROBE_EVERY };
                    self.effects.push_back(Effect::Probe { nonce: probation.nonce.clone() });
                }
                Step::Probing { .. } | Step::Waiting { .. } | Step::Confirming | Step::RollingBack => {}
            }
        }
        let refresh = &mut self.lifeline.refresh;
        if refresh.due.is_some_and(|due| due <= now.uptime) {
            refresh.due = None;
            if !std::mem::replace(&mut refresh.is_under_way, true) {
                self.effects.push_back(Effect::Challenge);
            }
        }
    }

    fn no_answer(&mut self, now: Now, nonce: &str, why: String) {
        if let Some(probation) = self.lifeline.probation_of(nonce) {
            let next = match probation.step {
                Step::Probing { next } => next,
                Step::Confirming => now.uptime + PROBE_EVERY,
                Step::Waiting { .. } | Step::RollingBack => return,
            };
            probation.why = why;
            probation.step = Step::Waiting { until: next.max(now.uptime) };
            self.keep_lifeline(now);
        } else if self.lifeline.refresh.nonce.as_deref() == Some(nonce) {
            warn!("This isolated host does not reach its server: {why}");
            self.refresh_ended(now, false);
        }
    }

    fn refresh_ended(&mut self, now: Now, is_answered: bool) {
        let has_contact = is_answered || self.link.is_live();
        let refresh = &mut self.lifeline.refresh;
        refresh.is_under_way = false;
        refresh.nonce = None;
        if !refresh.is_isolated {
            return;
        }
        let pause = if has_contact {
            refresh.failures = 0;
            REFRESH_EVERY
        } else {
            refresh.failures = refresh.failures.saturating_add(1);
            // The first failure may be a moment's; from the second on the server may have moved.
            if refresh.failures > 1 {
                self.effects.push_back(Effect::Search);
            }
            REFRESH_EVERY.saturating_mul(1 << refresh.failures.saturating_sub(2).min(8)).min(SEARCH_CAP)
        };
        refresh.due = Some(now.uptime + pause);
    }
}

impl Lifeline {
    fn probation_of(&mut self, nonce: &str) -> Option<&mut Probation> {
        self.probation.as_mut().filter(|probation| probation.nonce == nonce)
    }
}

/// Whether our server answered our question.
fn check(answer: &ProbeAnswer, nonce: &str, trust: &Trust) -> Result<ProbeClaims, String> {
    let claims: ProbeClaims = answer
        .answer
        .open(PayloadType::Probe, &trust.server_key)
        .map_err(|error| format!("somebody answers who is not the server of this host: {error}"))?;
    if claims.endpoint_id != trust.endpoint_id {
        Err(format!("the server answers for endpoint {}, this is {}", claims.endpoint_id, trust.endpoint_id))
    } else if claims.nonce != nonce {
        Err("the server's answer is to another question".to_owned())
    } else {
        Ok(claims)
    }
}
