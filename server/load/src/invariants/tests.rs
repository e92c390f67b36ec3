use serde_json::json;

use super::*;

const ID: CommandId = CommandId(7);

fn endpoint(digit: char) -> EndpointId {
    format!("ep_{}", digit.to_string().repeat(32)).parse().unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn queued(id: CommandId, kind: &str) -> Queued {
    Queued {
        id,
        endpoint: endpoint('a'),
        epoch: Epoch(1),
        kind: kind.to_owned(),
        not_before: None,
        expires_at: at(1000),
    }
}

/// One check on host `a`, acknowledged and on its disk.
fn started() -> History {
    let mut history = History::default();
    history.queued(queued(ID, "agent_check"));
    history.acknowledged(ID);
    history.on_disk(ID);
    history
}

fn wrong(history: &History) -> Vec<Wrong> {
    history.violations().iter().map(|violation| violation.wrong.clone()).collect()
}

fn row(state: CommandState) -> Row<'static> {
    Row { state, result: None }
}

fn begin(history: &mut History, host: char, boot: u64, id: CommandId, seconds: i64) {
    let life = Life { endpoint: &endpoint(host), epoch: Epoch(1), boot };
    history.effect_begins(life, id, at(seconds));
}

fn end(history: &mut History, boot: u64) {
    let life = Life { endpoint: &endpoint('a'), epoch: Epoch(1), boot };
    history.effect_takes(life, ID);
    history.effect_ends(life, ID, true);
}

#[test]
fn an_ordinary_course_is_clean() {
    let mut history = started();
    history.seen(ID, row(CommandState::Pending));
    history.seen(ID, row(CommandState::Delivered));
    begin(&mut history, 'a', 1, ID, 1);
    end(&mut history, 1);
    let verdict = history.close(|_| Some(row(CommandState::Executed)));
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.acknowledged, verdict.effects), (1, 1));
}

#[test]
fn a_crash_may_interrupt_an_effect_once() {
    let mut history = started();
    begin(&mut history, 'a', 1, ID, 1);
    begin(&mut history, 'a', 2, ID, 2000);
    assert_eq!(wrong(&history), []);
    begin(&mut history, 'a', 3, ID, 3);
    assert_eq!(wrong(&history), [Wrong::BeginsAgain]);
}

#[test]
fn an_effect_that_is_known_to_be_over_never_begins_again() {
    let mut history = started();
    begin(&mut history, 'a', 1, ID, 1);
    end(&mut history, 1);
    history.end_on_disk(ID);
    begin(&mut history, 'a', 2, ID, 2);
    assert_eq!(wrong(&history), [Wrong::BeginsAgain]);
    assert_eq!(history.close(|_| Some(row(CommandState::Executed))).doubled(), 1);
}

#[test]
fn nothing_begins_late_elsewhere_or_after_its_end() {
    let mut history = started();
    begin(&mut history, 'b', 1, ID, 1000);
    assert_eq!(wrong(&history), [Wrong::ForAnotherHost, Wrong::Expired]);
    let mut history = started();
    history.seen(ID, row(CommandState::Cancelled));
    begin(&mut history, 'a', 1, ID, 1);
    assert_eq!(wrong(&history), [Wrong::BeginsAfterItsCancel]);
    let mut history = started();
    history.seen(ID, row(CommandState::Expired));
    begin(&mut history, 'a', 1, ID, 1);
    assert_eq!(wrong(&history), [Wrong::BeginsAfterItsEnd(CommandState::Expired)]);
}

#[test]
fn an_older_isolate_never_undoes_a_newer_restore() {
    let mut history = History::default();
    let (old, new) = (CommandId(1), CommandId(2));
    history.queued(queued(old, "network_isolate"));
    history.queued(queued(new, "network_restore"));
    begin(&mut history, 'a', 1, new, 1);
    history.effect_takes(Life { endpoint: &endpoint('a'), epoch: Epoch(1), boot: 1 }, new);
    begin(&mut history, 'a', 1, old, 2);
    assert_eq!(wrong(&history), [Wrong::Undoes(new)]);
}

#[test]
fn final_is_final_and_the_first_result_stands() {
    let mut history = started();
    begin(&mut history, 'a', 1, ID, 1);
    end(&mut history, 1);
    let (first, second) = (json!({ "success": true }), json!({ "success": false }));
    history.seen(ID, Row { state: CommandState::Executed, result: Some(&first) });
    history.seen(ID, Row { state: CommandState::Failed, result: Some(&second) });
    let executed = CommandState::Executed;
    assert_eq!(
        wrong(&history),
        [Wrong::FinalChanged { from: executed, to: CommandState::Failed }, Wrong::ResultReplaced]
    );
}

#[test]
fn a_state_must_be_true() {
    let mut history = History::default();
    history.queued(queued(ID, "agent_check"));
    history.seen(ID, row(CommandState::Delivered));
    history.seen(ID, row(CommandState::Executed));
    assert_eq!(wrong(&history), [Wrong::DeliveredWithoutDisk, Wrong::ExecutedWithoutEffect]);
    let mut history = started();
    begin(&mut history, 'a', 1, ID, 1);
    history.seen(ID, row(CommandState::Cancelled));
    assert_eq!(wrong(&history), [Wrong::CancelledYetBegun]);
    let mut history = started();
    begin(&mut history, 'a', 1, ID, 1);
    let refused = json!({ "success": false, "data": { "refused": "disk-full" } });
    history.seen(ID, Row { state: CommandState::Failed, result: Some(&refused) });
    assert_eq!(wrong(&history), [Wrong::RefusedYetBegun("disk-full".to_owned())]);
}

#[test]
fn what_is_gone_or_open_in_the_end_is_told() {
    let mut history = started();
    history.acknowledged(CommandId(8));
    let verdict = history.close(|id| (id == ID).then_some(row(CommandState::Delivered)));
    assert_eq!(verdict.lost, [CommandId(8)]);
    assert_eq!(verdict.stuck, [(ID, CommandState::Delivered)]);
}
