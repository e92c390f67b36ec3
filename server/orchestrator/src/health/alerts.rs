//! The README's table of what somebody should be woken for, by what this server has measured.

use super::Sample;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alert {
    pub name: &'static str,
    /// Somebody should look.
    pub is_on: bool,
    /// What was measured, in words.
    pub found: String,
    pub what_to_do: &'static str,
}

const LONGEST_WAIT_SECONDS: u64 = 900;
const SLOW_COMMIT_MICROS: u64 = 100_000;
const LATE_SECONDS: u64 = 60;
/// Of a second, over five minutes.
const REDELIVERIES_IN_5_MIN: u64 = 300;
const FAILURES_IN_5_MIN: u64 = 3;
const LOW_DISK_PERCENT: u64 = 10;

/// `past`: a sample a minute, the oldest first.
#[must_use]
pub fn alerts(now: &Sample, past: &[Sample]) -> Vec<Alert> {
    let ago = |minutes: usize| past.len().checked_sub(minutes).and_then(|place| past.get(place));
    // A server that is younger than that has counted from nothing.
    let before = |minutes: usize| ago(minutes).map(|sample| sample.counts).unwrap_or_default();
    let expired = now.counts.expiries.saturating_sub(before(60).expiries);
    let offered_again = now.counts.redeliveries.saturating_sub(before(5).redeliveries);
    let drifted = now.counts.drifts.saturating_sub(before(10).drifts);
    let failed = now.counts.failed_upkeep.saturating_sub(before(5).failed_upkeep);
    let streams_before = ago(10).map_or(0, |sample| sample.streams);
    let slow = now.commit_p99_micros.unwrap_or_default();
    let disk = now.disk_free_bytes.zip(now.disk_bytes);
    let free_percent = disk.and_then(|(free, all)| free.saturating_mul(100).checked_div(all));
    let mut alerts = vec![
        Alert {
            name: "Commands are picked up",
            is_on: now.oldest_pending_seconds > LONGEST_WAIT_SECONDS,
            found: age(now.pending, now.oldest_pending_seconds),
            what_to_do: "Are their hosts offline, or is a rate limit set? The commands that are pending show which.",
        },
        Alert {
            name: "Hosts answer what they took",
            is_on: now.oldest_delivered_seconds > LONGEST_WAIT_SECONDS,
            found: age(now.delivered, now.oldest_delivered_seconds),
            what_to_do: "Look at these hosts' agents; they answer when they are back.",
        },
        Alert {
            name: "No command expires",
            is_on: expired > 0,
            found: format!("{expired} in the last hour"),
            what_to_do: "Nobody did what was asked: repeat it, or look at the host.",
        },
        Alert {
            name: "Receipts arrive",
            is_on: offered_again > REDELIVERIES_IN_5_MIN,
            found: format!("{offered_again} offered again in 5 min"),
            what_to_do: "Agents restart or the network drops; look at one agent's log.",
        },
        Alert {
            name: "The database's disk is quick",
            is_on: slow > SLOW_COMMIT_MICROS,
            found: now.commit_p99_micros.map_or_else(
                || "no command in the last minutes".to_owned(),
                |micros| format!("99 % of commits within {} ms", micros.div_ceil(1_000)),
            ),
            what_to_do: "Every click waits for it: look at the database's disk.",
        },
        Alert {
            name: "The fleet stays connected",
            is_on: now.streams * 5 < streams_before * 4,
            found: format!("{} by stream, {streams_before} ten minutes ago", now.streams),
            what_to_do: "Look at the network or the proxy in front of the gateway.",
        },
        Alert {
            name: "Schedules run in time",
            is_on: now.schedule_lag_seconds > LATE_SECONDS,
            found: format!("{} s late, {} wait", now.schedule_lag_seconds, now.schedules_waiting),
            what_to_do: "The server's log says why they cannot run.",
        },
        Alert {
            name: "No isolation was tampered with",
            is_on: drifted > 0,
            found: format!("{drifted} in 10 min"),
            what_to_do: "The endpoint's page says what was found and whether it was put back; something on that host changes firewall rules.",
        },
        Alert {
            name: "Upkeep works",
            is_on: failed > FAILURES_IN_5_MIN,
            found: format!("{failed} runs failed in 5 min"),
            what_to_do: "The database, most likely; nothing expires until it is back. The server's log says why.",
        },
    ];
    if let Some(percent) = now.evidence_bytes.saturating_mul(100).checked_div(now.evidence_allowed_bytes) {
        alerts.push(Alert {
            name: "Evidence has room",
            is_on: percent > 90,
            found: format!("{percent} % of the quota"),
            what_to_do: "Raise --evidence-quota-gib, or keep it in a service; agents keep what is refused and offer it again.",
        });
    }
    if let Some(percent) = free_percent {
        alerts.push(Alert {
            name: "The state directory's disk has room",
            is_on: percent < LOW_DISK_PERCENT,
            found: format!("{percent} % free"),
            what_to_do: "Make room: the queue is there when the database is the server's own, and so are uploads of evidence.",
        });
    }
    alerts
}

fn age(count: u64, oldest_seconds: u64) -> String {
    if count == 0 { "none waits".to_owned() } else { format!("{count}, the oldest for {oldest_seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::Counts;

    fn on(now: &Sample, past: &[Sample]) -> Vec<&'static str> {
        alerts(now, past).into_iter().filter(|alert| alert.is_on).map(|alert| alert.name).collect()
    }

    fn expired(expiries: u64) -> Sample {
        Sample { counts: Counts { expiries, ..Counts::default() }, ..Sample::default() }
    }

    #[test]
    fn a_server_that_does_nothing_is_well() {
        assert_eq!(on(&Sample::default(), &[]), [""; 0]);
    }

    #[test]
    fn what_waits_too_long_is_to_be_looked_at() {
        let now = Sample { pending: 1, oldest_pending_seconds: 901, ..Sample::default() };
        assert_eq!(on(&now, &[]), ["Commands are picked up"]);
    }

    #[test]
    fn counts_are_of_their_time_alone() {
        let past: Vec<Sample> = (0..60).map(|_| expired(3)).collect();
        assert_eq!(on(&expired(3), &past), [""; 0], "an hour ago");
        assert_eq!(on(&expired(3), &past[..20]), ["No command expires"], "since the start, 20 min ago");
    }

    #[test]
    fn a_fifth_of_the_fleet_may_go() {
        let past: Vec<Sample> = (0..10).map(|_| Sample { streams: 100, ..Sample::default() }).collect();
        let with = |streams| Sample { streams, ..Sample::default() };
        assert_eq!(on(&with(80), &past), [""; 0]);
        assert_eq!(on(&with(79), &past), ["The fleet stays connected"]);
    }

    #[test]
    fn disks_and_quotas_have_room() {
        let now = Sample {
            disk_free_bytes: Some(5),
            disk_bytes: Some(100),
            evidence_bytes: 95,
            evidence_allowed_bytes: 100,
            ..Sample::default()
        };
        assert_eq!(on(&now, &[]), ["Evidence has room", "The state directory's disk has room"]);
    }
}
