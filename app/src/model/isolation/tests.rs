use super::*;
use crate::model::endpoint::{Observed, tests::endpoint};

fn observed(state: ObservedState) -> Observed {
    Observed {
        state,
        generation: None,
        observed_at: 0,
        received_at: 0,
        detail: None,
        open: vec![],
        auto_restore_at: None,
        is_provisional: false,
        drift: None,
    }
}

fn ordered(direction: Direction, state: State) -> Desired {
    Desired {
        command_id: 41,
        direction,
        state,
        created_by: "alice".into(),
        created_at: 0,
        reason: "beacon".into(),
        expires_at: 7 * time::DAY,
        message: Some("nft: permission denied".into()),
        exceptions: String::new(),
        allow_dns: false,
        change_id: None,
        auto_restore_at: None,
    }
}

fn shown(state: Option<ObservedState>, order: Option<(Direction, State)>, live: bool) -> Isolation {
    let mut host = endpoint();
    host.live = live;
    host.observed = state.map(|state| Observed {
        observed_at: 10,
        received_at: 20,
        detail: Some("2 of 5 chains".into()),
        ..observed(state)
    });
    host.desired = order.map(|(direction, state)| ordered(direction, state));
    Isolation::of(&host)
}

use Direction::{Isolate, Restore};
use ObservedState::{Isolated, NotIsolated, Partial, Unknown};
use State::{Cancelled, Delivered, Executed, Expired, Failed, Pending};

const CONNECTED: Isolation = Isolation::Connected { received_at: 20 };
const ISOLATED: Isolation = Isolation::Isolated { received_at: 20 };
const STATES: [State; 6] = [Pending, Delivered, Executed, Failed, Expired, Cancelled];

#[test]
fn without_an_order_the_host_speaks() {
    assert_eq!(shown(Some(NotIsolated), None, true), CONNECTED);
    assert_eq!(shown(Some(Isolated), None, true), Isolation::NotOurs);
    assert_eq!(shown(None, None, true), Isolation::Unreported);
    assert!(matches!(shown(Some(Partial), None, true), Isolation::Partial { detail: Some(_) }));
    assert!(matches!(shown(Some(Unknown), None, true), Isolation::Unknown { .. }));
}

#[test]
fn an_isolate_goes_from_queued_to_isolated() {
    let queued = Isolation::IsolationQueued { expires_at: 7 * time::DAY };
    assert_eq!(shown(Some(NotIsolated), Some((Isolate, Pending)), false), queued);
    assert_eq!(shown(None, Some((Isolate, Pending)), false), queued);
    assert_eq!(shown(Some(NotIsolated), Some((Isolate, Pending)), true), Isolation::Isolating);
    assert_eq!(shown(Some(NotIsolated), Some((Isolate, Delivered)), false), Isolation::Isolating);
    assert_eq!(shown(Some(Partial), Some((Isolate, Delivered)), true), Isolation::Isolating);
    assert_eq!(shown(Some(Isolated), Some((Isolate, Delivered)), true), ISOLATED);
    assert_eq!(shown(Some(Isolated), Some((Isolate, Executed)), true), ISOLATED);
}

#[test]
fn a_release_goes_from_queued_to_connected() {
    assert_eq!(
        shown(Some(Isolated), Some((Restore, Pending)), false),
        Isolation::ReleaseQueued { expires_at: 7 * time::DAY }
    );
    assert_eq!(shown(Some(Isolated), Some((Restore, Pending)), true), Isolation::Releasing);
    assert_eq!(shown(Some(NotIsolated), Some((Restore, Executed)), true), CONNECTED);
    assert_eq!(shown(Some(Isolated), Some((Restore, Cancelled)), true), ISOLATED);
}

#[test]
fn what_went_wrong_is_said() {
    assert_eq!(shown(Some(NotIsolated), Some((Isolate, Executed)), true), Isolation::Drift);
    assert_eq!(
        shown(Some(NotIsolated), Some((Isolate, Failed)), true),
        Isolation::Failed { direction: Isolate, reason: "nft: permission denied".into() }
    );
    assert!(matches!(
        shown(Some(NotIsolated), Some((Isolate, Expired)), true),
        Isolation::Failed { direction: Isolate, .. }
    ));
    assert!(matches!(
        shown(Some(Isolated), Some((Restore, Failed)), true),
        Isolation::Failed { direction: Restore, .. }
    ));
    assert_eq!(shown(Some(NotIsolated), Some((Isolate, Cancelled)), true), CONNECTED);
    assert_eq!(shown(Some(Isolated), Some((Isolate, Failed)), true), Isolation::NotOurs);
    assert_eq!(shown(Some(Isolated), Some((Restore, Executed)), true), Isolation::NotOurs);
}

/// The one rule above all: no order, in whatever state, makes the badge green.
#[test]
fn only_an_observation_makes_it_isolated() {
    for observed in [None, Some(NotIsolated), Some(Partial), Some(Unknown)] {
        for direction in [Isolate, Restore] {
            for state in STATES {
                for live in [true, false] {
                    let shown = shown(observed, Some((direction, state)), live);
                    assert!(
                        !matches!(shown, Isolation::Isolated { .. }),
                        "{observed:?} {direction:?} {state:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn green_ends_with_age_or_with_the_live_updates() {
    assert_eq!(ISOLATED.note(Some(4_020), false).as_deref(), Some("verified 4 s ago"));
    assert_eq!(ISOLATED.assurance(Some(20 + VERIFIED_FOR), false), Assurance::Verified);
    assert_eq!(ISOLATED.assurance(Some(21 + VERIFIED_FOR), false), Assurance::Stale);
    assert_eq!(ISOLATED.assurance(Some(4_020), true), Assurance::Stale);
    assert_eq!(ISOLATED.assurance(None, false), Assurance::Stale);
    assert_eq!(ISOLATED.note(Some(120_020), false).as_deref(), Some("not verified since 2 min"));
    assert_eq!(ISOLATED.note(None, false), None);
    assert_eq!(CONNECTED.note(Some(4_020), false), None);
    assert_eq!(CONNECTED.note(Some(120_020), false).as_deref(), Some("not verified since 2 min"));
}

#[test]
fn a_queued_order_says_when_it_ends() {
    let queued = shown(Some(NotIsolated), Some((Isolate, Pending)), false);
    assert_eq!(queued.note(Some(time::HOUR), false).as_deref(), Some("expires in 6 d 23 h"));
}

#[test]
fn an_isolation_on_new_terms_is_the_same_isolation() {
    let mut host = endpoint();
    host.desired = Some(Desired { change_id: Some(42), ..ordered(Isolate, Executed) });
    host.observed = Some(Observed { generation: Some(42), received_at: 20, ..observed(Isolated) });
    assert_eq!(Isolation::of(&host), ISOLATED, "the change's rules are in force, the isolate's order stands");
}

#[test]
fn rules_that_may_be_lifted_again_are_not_green() {
    let mut host = endpoint();
    for state in [Delivered, Executed] {
        host.desired = Some(ordered(Isolate, state));
        host.observed = Some(Observed { is_provisional: true, ..observed(Isolated) });
        assert_eq!(Isolation::of(&host), Isolation::Isolating);
    }
}

#[test]
fn an_end_that_was_planned_is_no_drift() {
    let mut host = endpoint();
    let end = 2 * time::HOUR;
    host.desired = Some(Desired { auto_restore_at: Some(end), ..ordered(Isolate, Executed) });
    for (received_at, expected) in [
        (end - time::MINUTE, Isolation::Drift),
        (end - time::SECOND, Isolation::Releasing),
        (end + time::SECOND, Isolation::Releasing),
    ] {
        host.observed = Some(Observed { received_at, ..observed(NotIsolated) });
        assert_eq!(Isolation::of(&host), expected, "{received_at}");
    }
}
