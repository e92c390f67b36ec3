//! What the badge says, from the two facts: what the console asked for and what the host observed.

use super::{
    Direction, Endpoint, Millis, State,
    endpoint::{Desired, ObservedState},
    time,
};

/// Three telemetry intervals: an older observation no longer counts as verified.
pub const VERIFIED_FOR: Millis = 45 * time::SECOND;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Isolation {
    /// Observed: not isolated, and nobody asked for it.
    Connected {
        received_at: Millis,
    },
    Isolating,
    /// The order waits on the server.
    IsolationQueued {
        expires_at: Millis,
    },
    /// Observed isolated, by order of this server.
    Isolated {
        received_at: Millis,
    },
    Releasing,
    ReleaseQueued {
        expires_at: Millis,
    },
    /// Was isolated by our order, is observed not isolated.
    Drift,
    Failed {
        direction: Direction,
        reason: String,
    },
    /// Observed isolated without an order that says so.
    NotOurs,
    Partial {
        detail: Option<String>,
    },
    Unknown {
        detail: Option<String>,
    },
    /// The host has not reported yet.
    Unreported,
}

impl Isolation {
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        let desired = endpoint.desired.as_ref();
        let under_way = desired.filter(|desired| desired.state.is_open());
        let Some(observed) = &endpoint.observed else {
            return match (under_way, desired) {
                (Some(order), _) => Self::under_way(order, endpoint.live),
                (None, Some(order)) => Self::ended_badly(order).unwrap_or(Self::Unreported),
                (None, None) => Self::Unreported,
            };
        };
        let isolated = Self::Isolated { received_at: observed.received_at };
        let connected = Self::Connected { received_at: observed.received_at };
        match (observed.state, desired.map(|desired| desired.direction)) {
            (ObservedState::NotIsolated, None) => connected,
            (ObservedState::NotIsolated, Some(Direction::Restore)) => match under_way {
                Some(order) => Self::under_way(order, endpoint.live),
                None => connected,
            },
            // The rules are in the kernel, which lifts them again unless the server is reached through them.
            (ObservedState::Isolated, Some(Direction::Isolate)) if observed.is_provisional => Self::Isolating,
            (ObservedState::Isolated, None) => Self::NotOurs,
            (ObservedState::Isolated, Some(Direction::Isolate)) => match desired.map(|desired| desired.state)
            {
                Some(State::Failed | State::Expired | State::Cancelled) => Self::NotOurs,
                _ => isolated,
            },
            (ObservedState::NotIsolated, Some(Direction::Isolate))
            | (ObservedState::Isolated, Some(Direction::Restore)) => match (under_way, desired) {
                (Some(order), _) => Self::under_way(order, endpoint.live),
                (None, Some(order)) => {
                    Self::ended_badly(order).unwrap_or(match (order.direction, order.state) {
                        (Direction::Isolate, State::Executed) if order.has_ended(observed.received_at) => {
                            Self::Releasing
                        }
                        (Direction::Isolate, State::Executed) => Self::Drift,
                        (Direction::Isolate, _) => connected,
                        (Direction::Restore, State::Executed) => Self::NotOurs,
                        // The release was withdrawn: what held before it holds.
                        (Direction::Restore, _) => isolated,
                    })
                }
                (None, None) => Self::Unreported,
            },
            (ObservedState::Partial, _) => match under_way {
                Some(order) => Self::under_way(order, endpoint.live),
                None => Self::Partial { detail: observed.detail.clone() },
            },
            (ObservedState::Unknown, _) => match under_way {
                Some(order) => Self::under_way(order, endpoint.live),
                None => Self::Unknown { detail: observed.detail.clone() },
            },
        }
    }

    fn under_way(order: &Desired, live: bool) -> Self {
        let queued = !live && order.state == State::Pending;
        match (order.direction, queued) {
            (Direction::Isolate, true) => Self::IsolationQueued { expires_at: order.expires_at },
            (Direction::Isolate, false) => Self::Isolating,
            (Direction::Restore, true) => Self::ReleaseQueued { expires_at: order.expires_at },
            (Direction::Restore, false) => Self::Releasing,
        }
    }

    fn ended_badly(order: &Desired) -> Option<Self> {
        let reason = match order.state {
            State::Failed => order.message.clone().unwrap_or_else(|| "the host gave no reason".to_owned()),
            State::Expired => "the command expired before the host took it".to_owned(),
            State::Pending | State::Delivered | State::Executed | State::Cancelled | State::Unknown => {
                return None;
            }
        };
        Some(Self::Failed { direction: order.direction, reason })
    }

    /// The words of the badge, without the note.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "Connected",
            Self::Isolating => "Isolating",
            Self::IsolationQueued { .. } => "Isolation queued",
            Self::Isolated { .. } => "Isolated",
            Self::Releasing => "Releasing",
            Self::ReleaseQueued { .. } => "Release queued",
            Self::Drift => "Drift: isolation lost",
            Self::Failed { direction: Direction::Isolate, .. } => "Isolation failed",
            Self::Failed { direction: Direction::Restore, .. } => "Release failed",
            Self::NotOurs => "Isolated, not by this server's last order",
            Self::Partial { .. } => "Partly isolated",
            Self::Unknown { .. } => "Isolation unknown",
            Self::Unreported => "Not reported yet",
        }
    }

    /// What the badge adds. `now` is None while the page has no clock; `paused`: live updates are lost.
    #[must_use]
    pub fn note(&self, now: Option<Millis>, paused: bool) -> Option<String> {
        match self {
            Self::Isolated { received_at } => {
                let now = now?;
                Some(match self.assurance(Some(now), paused) {
                    Assurance::Verified => format!("verified {}", time::ago(*received_at, now)),
                    Assurance::Stale => format!("not verified since {}", time::span(now - received_at)),
                })
            }
            Self::IsolationQueued { expires_at } | Self::ReleaseQueued { expires_at } => {
                Some(format!("expires in {}", time::span(expires_at - now?)))
            }
            Self::Failed { reason, .. } => Some(reason.clone()),
            Self::Partial { detail } | Self::Unknown { detail } => detail.clone(),
            Self::Connected { received_at } => {
                let age = now? - received_at;
                (age > VERIFIED_FOR).then(|| format!("not verified since {}", time::span(age)))
            }
            Self::Isolating | Self::Releasing | Self::Drift | Self::NotOurs | Self::Unreported => None,
        }
    }

    /// Whether the observation behind the badge still counts.
    #[must_use]
    pub fn assurance(&self, now: Option<Millis>, paused: bool) -> Assurance {
        match (self, now) {
            (Self::Isolated { received_at }, Some(now)) if !paused && now - received_at <= VERIFIED_FOR => {
                Assurance::Verified
            }
            _ => Assurance::Stale,
        }
    }

    #[must_use]
    pub fn group(&self) -> Group {
        match self {
            Self::Connected { .. } => Group::Connected,
            Self::Isolated { .. } => Group::Isolated,
            Self::Isolating | Self::IsolationQueued { .. } | Self::Releasing | Self::ReleaseQueued { .. } => {
                Group::Changing
            }
            Self::Drift
            | Self::Failed { .. }
            | Self::NotOurs
            | Self::Partial { .. }
            | Self::Unknown { .. }
            | Self::Unreported => Group::Attention,
        }
    }

    /// The first button, and whether it can be pressed while this is so.
    #[must_use]
    pub fn main_action(&self) -> (Direction, bool) {
        match self {
            Self::Isolating | Self::IsolationQueued { .. } => (Direction::Isolate, false),
            Self::Releasing | Self::ReleaseQueued { .. } => (Direction::Restore, false),
            Self::Isolated { .. } | Self::NotOurs => (Direction::Restore, true),
            Self::Failed { direction, .. } => (*direction, true),
            Self::Connected { .. }
            | Self::Drift
            | Self::Partial { .. }
            | Self::Unknown { .. }
            | Self::Unreported => (Direction::Isolate, true),
        }
    }

    /// The other order, where it makes sense too.
    #[must_use]
    pub fn other_action(&self) -> Option<Direction> {
        match self {
            // A release also ends that the host is to be isolated at all.
            Self::Isolating
            | Self::Drift
            | Self::Partial { .. }
            | Self::Unknown { .. }
            | Self::Failed { direction: Direction::Isolate, .. } => Some(Direction::Restore),
            Self::Releasing => Some(Direction::Isolate),
            Self::Connected { .. }
            | Self::IsolationQueued { .. }
            | Self::Isolated { .. }
            | Self::ReleaseQueued { .. }
            | Self::Failed { direction: Direction::Restore, .. }
            | Self::NotOurs
            | Self::Unreported => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Assurance {
    /// Solid green.
    Verified,
    Stale,
}

/// How the fleet is counted; every endpoint is in exactly one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    Attention,
    Changing,
    Isolated,
    Connected,
}

#[cfg(test)]
mod tests;
