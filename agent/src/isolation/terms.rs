use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{Exception, IsolationChange, IsolationPreview, NetworkIsolate};

/// What an isolation leaves open, and for how long it holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// To the resolvers that the host is configured with.
    #[serde(default)]
    pub allow_dns: bool,
    /// When the kernel lifts the isolation; `None`: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_restore_at: Option<DateTime<Utc>>,
}

impl Terms {
    /// The time that an order leaves it runs from `now`, when the rules are applied.
    #[must_use]
    pub fn of_isolate(order: &NetworkIsolate, now: DateTime<Utc>) -> Self {
        Self {
            exceptions: order.exceptions.clone(),
            allow_dns: order.allow_dns,
            auto_restore_at: after(order.auto_restore_after_seconds, now),
        }
    }

    #[must_use]
    pub fn of_change(order: &IsolationChange) -> Self {
        Self {
            exceptions: order.exceptions.clone(),
            allow_dns: order.allow_dns,
            auto_restore_at: order.auto_restore_at,
        }
    }

    #[must_use]
    pub fn of_preview(order: &IsolationPreview, now: DateTime<Utc>) -> Self {
        Self {
            exceptions: order.exceptions.clone(),
            allow_dns: order.allow_dns,
            auto_restore_at: after(order.auto_restore_after_seconds, now),
        }
    }
}

fn after(seconds: Option<u32>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    now.checked_add_signed(TimeDelta::seconds(seconds?.into()))
}
