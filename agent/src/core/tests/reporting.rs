//! What the server is told, by which way and how often.

use super::*;

#[test]
fn a_result_is_sent_again_until_the_server_has_it() {
    let mut sim = Sim::live();
    sim.push(&order(1, isolate()));
    sim.done(1);
    assert_eq!(sim.results().len(), 1);
    sim.advance(Duration::from_secs(10));
    assert_eq!(sim.results().len(), 2);
    sim.lose_stream();
    sim.advance(Duration::from_secs(2));
    assert!(matches!(sim.effects.last(), Some(Effect::Post(Post::Result(_)))), "{:?}", sim.effects);
    let failure = RequestFailure::Unavailable("test".to_owned());
    sim.core.handle_posted(sim.now, PostKey::Result(CommandId(1)), Err(failure));
    sim.settle();
    sim.take();
    sim.go_live();
    assert_eq!(sim.results().len(), 1, "a new stream gets every unreported result");
    sim.recorded(1);
    sim.take();
    sim.advance(Duration::from_secs(3600));
    assert!(sim.results().is_empty());
    assert_eq!(sim.core.unreported_results(), 0);
}

#[test]
fn without_a_stream_everything_goes_by_post() {
    let mut sim = Sim::new();
    sim.take();
    sim.offer(&[order(1, isolate())]);
    sim.done(1);
    let posts: Vec<PostKey> = sim
        .take()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Post(post) => Some(post.key()),
            _ => None,
        })
        .collect();
    assert_eq!(posts, [PostKey::Receipt(CommandId(1)), PostKey::Result(CommandId(1))]);
    sim.core.handle_posted(sim.now, PostKey::Result(CommandId(1)), Ok(()));
    sim.settle();
    assert_eq!(sim.core.unreported_results(), 0);
}

#[test]
fn a_query_is_answered_from_the_journal() {
    let mut sim = Sim::live();
    let ask = |sim: &mut Sim, id| {
        sim.take();
        sim.core.handle_frame(sim.now, ServerFrame::Query { command_id: CommandId(id) });
        sim.settle();
        sim.take()
    };
    let command_id = CommandId(1);
    assert_eq!(ask(&mut sim, 1), [Effect::Send(AgentFrame::NotKnown { command_id })]);
    sim.push(&order(1, isolate()));
    assert_eq!(ask(&mut sim, 1), [Effect::Send(AgentFrame::Receipt { command_id, attempt: 1 })]);
    sim.done(1);
    assert!(matches!(ask(&mut sim, 1).as_slice(), [Effect::Send(AgentFrame::Result(_))]));
}

#[test]
fn polling_rests_while_the_stream_is_live() {
    let mut sim = Sim::new();
    sim.advance(Duration::from_secs(3));
    assert!(sim.take().contains(&Effect::Poll));
    sim.core.handle_poll_answer(sim.now, PollResponse::default());
    sim.go_live();
    sim.take();
    sim.advance(Duration::from_secs(60));
    assert!(!sim.take().contains(&Effect::Poll));
    sim.lose_stream();
    sim.advance(Duration::from_secs(3));
    let effects = sim.take();
    assert!(effects.contains(&Effect::Poll) && effects.contains(&Effect::ConnectStream));
}

#[test]
fn a_refusing_server_is_left_alone_for_longer() {
    let mut sim = Sim::new();
    let loss =
        StreamLoss::Refused { reason: RefusalReason::AwaitingApproval, detail: "approve first".to_owned() };
    sim.core.handle_stream_lost(sim.now, &loss);
    let refused =
        RequestFailure::Refused { word: "awaiting-approval".to_owned(), detail: "approve first".to_owned() };
    sim.core.handle_poll_failed(sim.now, &refused);
    sim.settle();
    sim.take();
    sim.advance(Duration::from_secs(14));
    assert!(
        !sim.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Poll | Effect::ConnectStream | Effect::Post(_)))
    );
    sim.advance(Duration::from_secs(17));
    assert!(sim.effects.contains(&Effect::Poll) && sim.effects.contains(&Effect::ConnectStream));
}

#[test]
fn telemetry_follows_an_isolation_at_once() {
    let mut sim = Sim::live();
    sim.core.telemetry.collecting = false;
    sim.push(&order(1, isolate()));
    sim.done(1);
    assert_eq!(sim.effects.last(), Some(&Effect::CollectTelemetry));
}

#[test]
fn queries_in_a_poll_are_answered_by_posts_and_execute_nothing() {
    let mut sim = Sim::new();
    sim.offer(&[order(1, check())]);
    sim.done(1);
    sim.core.handle_posted(sim.now, PostKey::Receipt(CommandId(1)), Ok(()));
    sim.core.handle_posted(sim.now, PostKey::Result(CommandId(1)), Ok(()));
    sim.settle();
    sim.offer(&[order(2, check())]);
    sim.core.handle_posted(sim.now, PostKey::Receipt(CommandId(2)), Ok(()));
    sim.settle();
    sim.take();
    let queries = [1, 2, 3].map(CommandId).to_vec();
    sim.core.handle_poll_answer(sim.now, PollResponse { queries, ..PollResponse::default() });
    sim.settle();
    let effects = sim.take();
    let mut keys: Vec<PostKey> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Post(post) => post.key(),
            other => panic!("{other:?}"),
        })
        .collect();
    keys.sort_by_key(|key| format!("{key:?}"));
    let [done, queued, unknown] = [1, 2, 3].map(CommandId);
    assert_eq!(keys, [PostKey::NotKnown(unknown), PostKey::Receipt(queued), PostKey::Result(done)]);
}

#[test]
fn a_result_that_is_not_accepted_does_not_keep_the_others_waiting() {
    let mut sim = Sim::new();
    sim.offer(&(1..=20).map(|id| order(id, check())).collect::<Vec<_>>());
    (1..=20).for_each(|id| sim.done(id));
    let mut recorded = Vec::new();
    while let Some(position) = sim.effects.iter().position(|effect| matches!(effect, Effect::Post(_))) {
        let Effect::Post(post) = sim.effects.remove(position) else { panic!() };
        let refusal = RequestFailure::NotAccepted("test".to_owned());
        let is_bad = matches!(&post, Post::Result(result) if result.command_id.0 <= 6);
        if let (Post::Result(result), false) = (&post, is_bad) {
            recorded.push(result.command_id.0);
        }
        sim.core.handle_posted(sim.now, post.key(), if is_bad { Err(refusal) } else { Ok(()) });
        sim.settle();
    }
    assert_eq!(recorded, (7..=20).collect::<Vec<_>>());
    assert_eq!(sim.core.unreported_results(), 6);
    sim.advance(Duration::from_secs(601));
    assert_eq!(sim.results().len(), 4, "they are tried again after a long while");
}

#[test]
fn a_long_poll_follows_at_once_unless_the_server_does_not_keep_it_open() {
    let wait = Duration::from_secs(25);
    let polling = Some(Polling { interval: Duration::from_secs(10), wait });
    let settings = Settings { stream_enabled: false, polling, ..settings() };
    let now = Now { wall: start_of_time(), uptime: Duration::ZERO };
    let mut sim = Sim::new();
    sim.core = Core::new(now, 7, trust(), &settings, Recovered::default());
    let polls = |sim: &mut Sim| sim.take().contains(&Effect::Poll);
    sim.advance(Duration::ZERO);
    assert!(polls(&mut sim));
    sim.advance(wait);
    sim.core.handle_poll_answer(sim.now, PollResponse::default());
    sim.advance(Duration::ZERO);
    assert!(polls(&mut sim), "it was kept open");
    sim.offer(&[order(1, check())]);
    sim.advance(Duration::from_millis(100));
    assert!(polls(&mut sim), "it brought something");
    sim.core.handle_poll_answer(sim.now, PollResponse::default());
    sim.advance(Duration::from_secs(8));
    assert!(!polls(&mut sim), "it came back empty at once");
    sim.advance(Duration::from_secs(3));
    assert!(polls(&mut sim));
    sim.core.handle_poll_failed(sim.now, &RequestFailure::Unavailable("test".to_owned()));
    sim.advance(Duration::from_secs(8));
    assert!(!polls(&mut sim), "it failed");
}
