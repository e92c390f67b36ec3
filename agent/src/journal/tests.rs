use chrono::DateTime;
use voltaxe_protocol::{CommandId, CommandResult};

use super::*;

fn result(id: i64) -> Record {
    let result =
        CommandResult { command_id: CommandId(id), success: true, message: "x".repeat(200), data: None };
    let at = DateTime::UNIX_EPOCH;
    Record::Finished { kind: "network_isolate".to_owned(), result, forget_after: at, at }
}

struct Fixture {
    _directory: tempfile::TempDir,
    state: StateDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        Self { _directory: directory, state }
    }

    /// Opens, appends, waits for every confirmation, closes.
    fn append(&self, limit: u64, batches: &[(Vec<Record>, Urgency)]) -> Vec<Result<Usage, JournalError>> {
        let (sender, answers) = mpsc::channel();
        let (journal, _, _) =
            Journal::open_limited(&self.state, limit, move |_, answer| sender.send(answer).unwrap()).unwrap();
        batches
            .iter()
            .map(|(records, urgency)| {
                journal.append(0, records, *urgency);
                answers.recv().unwrap()
            })
            .collect()
    }

    fn reopen(&self) -> (Vec<Record>, Damage) {
        let (_, records, damage) = Journal::open(&self.state, |_, _| {}).unwrap();
        (records, damage)
    }
}

#[test]
fn what_was_confirmed_is_read_back_in_order() {
    let fixture = Fixture::new();
    let first = vec![result(1), Record::Reported { id: CommandId(1), at: DateTime::UNIX_EPOCH }];
    let answers =
        fixture.append(MAX_FILE_BYTES, &[(first.clone(), Urgency::Normal), (vec![result(2)], Urgency::Lazy)]);
    assert!(answers.iter().all(Result::is_ok));
    let (records, damage) = fixture.reopen();
    assert_eq!(records, [first, vec![result(2)]].concat());
    assert_eq!(damage, Damage::default());
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tore() {
    let fixture = Fixture::new();
    let whole = encode(&[result(1), result(2)]);
    let first = encode(&[result(1)]).len();
    for cut in first..whole.len() {
        let mut bytes = whole[..cut].to_vec();
        bytes.resize(4096, 0);
        fs::write(fixture.state.path(FILE), &bytes).unwrap();
        fixture.append(MAX_FILE_BYTES, &[(vec![result(3)], Urgency::Normal)]);
        let (records, damage) = fixture.reopen();
        assert_eq!(records, [result(1), result(3)], "torn at {cut}");
        assert_eq!(damage, Damage::default(), "torn at {cut}");
    }
}

#[test]
fn a_bad_record_in_the_middle_is_set_aside_and_the_rest_kept() {
    let fixture = Fixture::new();
    let mut bytes = encode(&[result(1), result(2), result(3)]);
    let record = encode(&[result(1)]).len();
    bytes[record + 40] ^= 4;
    fs::write(fixture.state.path(FILE), &bytes).unwrap();
    let (records, damage) = fixture.reopen();
    assert_eq!(records, [result(1), result(3)]);
    let [aside] = damage.quarantined.as_slice() else { panic!("{damage:?}") };
    assert_eq!(fs::read(aside).unwrap(), bytes[record..2 * record]);
    assert_eq!(fixture.reopen(), (vec![result(1), result(3)], Damage::default()));
}

#[test]
fn a_full_disk_refuses_new_work_and_keeps_room_for_a_restore() {
    let fixture = Fixture::new();
    let many: Vec<_> = (0..600).map(|id| (vec![result(id)], Urgency::Normal)).collect();
    let answers = fixture.append(256 * 1024, &many);
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((400..600).contains(&accepted), "{accepted}");
    assert_eq!(answers.last(), Some(&Err(JournalError::DiskFull)));
    let essential = fixture.append(256 * 1024, &[(vec![result(1000)], Urgency::Essential)]);
    assert!(essential[0].is_ok());
    let (records, _) = fixture.reopen();
    assert_eq!(records.len(), accepted + 1);
    assert_eq!(records.last(), Some(&result(1000)));
}

#[test]
fn replacing_keeps_what_comes_after() {
    let fixture = Fixture::new();
    let (sender, answers) = mpsc::channel();
    let (journal, _, _) =
        Journal::open(&fixture.state, move |batch, answer| sender.send((batch, answer)).unwrap()).unwrap();
    journal.append(1, &(0..100).map(result).collect::<Vec<_>>(), Urgency::Normal);
    journal.replace(&[result(7)]);
    journal.append(2, &[result(8)], Urgency::Normal);
    let before = answers.recv().unwrap().1.unwrap().used_bytes;
    let after = answers.recv().unwrap().1.unwrap().used_bytes;
    assert!(after < before);
    drop(journal);
    assert_eq!(fixture.reopen().0, [result(7), result(8)]);
}

#[test]
fn a_record_of_a_newer_agent_is_counted_and_skipped() {
    let fixture = Fixture::new();
    let mut bytes = encode(&[result(1)]);
    frame::append(&mut bytes, br#"{"step":"teleported"}"#);
    fs::write(fixture.state.path(FILE), &bytes).unwrap();
    let (records, damage) = fixture.reopen();
    assert_eq!((records, damage.not_understood), (vec![result(1)], 1));
}
