use std::time::Duration;

use leptos::prelude::*;

use crate::{
    live::{Change, Live, Mark},
    model::{Command, CommandFilter, State},
    ui::{
        Item, Moment, StateBadge, cell,
        dom::{Gathered, effect},
        list, row, table, view,
    },
};

/// More than this are not held: the rest is loaded when it is asked for.
const MOST: usize = 500;

/// Commands of many hosts, a row each.
#[component]
pub fn CommandTable(commands: RwSignal<Vec<Command>>) -> impl IntoView {
    let rows = move || {
        let item = |command: Command| Item::new(version(&command), move || line(&command));
        commands.get().into_iter().map(item).collect()
    };
    table("Commands", &["Command", "Host", "State", "Method", "By", "When", "Reason"], list(rows))
}

/// Lays what happens to commands over a list of them, newest first. Many changes are drawn together. With `adds` new
/// commands come on top, and the oldest leave.
pub fn follow(commands: RwSignal<Vec<Command>>, older: RwSignal<Option<i64>>, mark: Mark, adds: bool) {
    follow_matching(commands, older, mark, adds.then(CommandFilter::default));
}

/// As [`follow`]; `adds`: which new commands come on top, if any do. What is shown stays, whatever becomes of it.
pub fn follow_matching(
    commands: RwSignal<Vec<Command>>,
    older: RwSignal<Option<i64>>,
    mark: Mark,
    adds: Option<CommandFilter>,
) {
    let live = Live::expect();
    let waiting = StoredValue::new(Vec::<Command>::new());
    let draw = Gathered::new(Duration::from_millis(200), move || {
        let changed = waiting.try_update_value(std::mem::take).unwrap_or_default();
        let older_than = older.try_get_untracked().flatten();
        commands.try_update(|commands| lay(commands, changed, adds.as_ref(), older_than));
        if commands.try_with_untracked(Vec::len) == Some(MOST) {
            older.try_set(commands.with_untracked(|commands| commands.last().map(|last| last.id)));
        }
    });
    effect(move || {
        live.follow(mark, move |change| {
            if let Change::Command(command) = change {
                waiting.try_update_value(|waiting| waiting.push(*command));
                draw.call();
            }
        });
    });
}

/// Lays over a list what has happened since its loading began: its answer may be older than that.
pub fn lay_since(
    since: Vec<Change>,
    commands: RwSignal<Vec<Command>>,
    older: Option<i64>,
    adds: Option<&CommandFilter>,
) {
    let changed = since.into_iter().filter_map(|change| match change {
        Change::Command(command) => Some(*command),
        _ => None,
    });
    let changed: Vec<Command> = changed.collect();
    commands.try_update(|commands| lay(commands, changed, adds, older));
}

/// What is older than `older` has not been loaded yet, and comes with the rest.
fn lay(commands: &mut Vec<Command>, changed: Vec<Command>, adds: Option<&CommandFilter>, older: Option<i64>) {
    for new in changed {
        if let Some(known) = commands.iter_mut().find(|known| known.id == new.id) {
            *known = new;
        } else if adds.is_some_and(|filter| filter.matches(&new)) && older.is_none_or(|older| new.id > older)
        {
            let place = commands.partition_point(|known| known.id > new.id);
            commands.insert(place, new);
            commands.truncate(MOST);
        }
    }
}

/// Changes with everything that is drawn.
fn version(command: &Command) -> String {
    format!("{} {} {}", command.id, command.state.word(), command.details())
}

fn line(command: &Command) -> AnyView {
    let id = format!("#{}", command.id);
    let own = format!("/commands/{}", command.id);
    let head = view! { {command.title().to_owned()} " " <a class="entry__id mono" href=own>{id}</a> };
    let page = format!("/endpoints/{}", command.endpoint_id);
    let host = view! { <a class="row__host" href=page>{command.hostname.clone()}</a> };
    let why = match &command.message {
        Some(message) if command.state == State::Failed => format!("{} · {message}", command.reason),
        Some(_) | None => command.reason.clone(),
    };
    row(
        head.into_any(),
        vec![
            cell("Host", host.into_any()),
            cell("State", view! { <StateBadge state=command.state/> }),
            cell("Method", command.channel.clone().unwrap_or_else(|| "–".to_owned()).into_any()),
            cell("By", command.created_by.clone().into_any()),
            cell("When", view! { <Moment at=command.created_at/> }),
            cell("Reason", why.into_any()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::command::tests::command;

    const ALL: Option<&CommandFilter> = Some(&CommandFilter {
        state: None,
        kind: String::new(),
        operator: String::new(),
        host: String::new(),
        batch: String::new(),
        from: None,
        to: None,
    });

    fn ids(commands: &[Command]) -> Vec<i64> {
        commands.iter().map(|command| command.id).collect()
    }

    fn numbered(id: i64, state: State) -> Command {
        Command { id, ..command(state) }
    }

    #[test]
    fn new_commands_come_on_top_and_known_ones_change_where_they_are() {
        let mut shown = vec![numbered(9, State::Pending), numbered(7, State::Pending)];
        let changed =
            || vec![numbered(7, State::Executed), numbered(10, State::Pending), numbered(8, State::Pending)];
        lay(&mut shown, changed(), None, None);
        assert_eq!(ids(&shown), [9, 7]);
        assert_eq!(shown[1].state, State::Executed);
        lay(&mut shown, changed(), ALL, Some(7));
        assert_eq!(ids(&shown), [10, 9, 8, 7]);
    }

    #[test]
    fn what_is_not_loaded_yet_is_not_put_below_a_gap() {
        let mut shown = vec![numbered(9, State::Pending)];
        lay(&mut shown, vec![numbered(3, State::Executed)], ALL, Some(9));
        assert_eq!(ids(&shown), [9]);
        lay(&mut shown, vec![numbered(3, State::Executed)], ALL, None);
        assert_eq!(ids(&shown), [9, 3]);
    }

    #[test]
    fn a_storm_does_not_make_the_list_longer_than_it_may_be() {
        let mut shown = Vec::new();
        lay(&mut shown, (0..2_000).map(|id| numbered(id, State::Pending)).collect(), ALL, None);
        assert_eq!(shown.len(), MOST);
        assert_eq!(shown[0].id, 1_999);
    }
}
