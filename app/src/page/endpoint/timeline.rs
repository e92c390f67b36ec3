use leptos::{prelude::*, task::spawn_local};

use super::put;
use crate::{
    api,
    error::ApiError,
    model::{Command, State, command::Step},
    page::{problem, session},
    ui::{Item, Moment, StateBadge, all, list, maybe},
};

/// The endpoint's commands, newest first, each with its steps.
#[component]
pub fn Timeline(commands: RwSignal<Vec<Command>>) -> impl IntoView {
    let entries = move || {
        let entry = |command: Command| {
            Item::new(version(&command), move || {
                view! { <Entry command=command.clone() commands/> }.into_any()
            })
        };
        commands.get().into_iter().map(entry).collect()
    };
    let is_empty = Memo::new(move |_| commands.read().is_empty());
    view! {
        <section class="panel" aria-labelledby="timeline-title">
            <h2 id="timeline-title">"Commands"</h2>
            {maybe(move || {
                is_empty
                    .get()
                    .then(|| view! { <p class="muted">"No command was sent to this host yet."</p> }.into_any())
            })}
            <ol class="timeline">{list(entries)}</ol>
        </section>
    }
}

/// Changes with everything that changes in a command's life.
fn version(command: &Command) -> String {
    format!("{} {} {}", command.id, command.state.word(), command.steps().len())
}

#[component]
fn Entry(command: Command, commands: RwSignal<Vec<Command>>) -> impl IntoView {
    let id = command.id;
    let can_cancel = command.state == State::Pending && session().cancel.yes;
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    let cancel = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            match api::cancel_command(id).await {
                Ok(cancelled) => put(commands, cancelled),
                Err(problem) => {
                    error.try_set(Some(problem));
                    busy.try_set(false);
                }
            }
        });
    };
    let details = [
        command.channel.as_ref().map(|channel| format!("by {channel}")),
        (command.attempt > 1).then(|| format!("attempt {}", command.attempt)),
        command.cancelled_by.as_ref().map(|name| format!("cancelled by {name}")),
    ];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let title_id = format!("command-{id}");
    view! {
            <li class="entry" aria-labelledby=title_id.clone()>
                <div class="entry__head">
                    <h3 id=title_id.clone()>{command.title()} " " <span class="entry__id mono">{format!("#{id}")}</span></h3>
                    <StateBadge state=command.state/>
                    <span class="entry__details">{details}</span>
                </div>
                <p class="entry__why">
                    <b>{command.created_by.clone()}</b> ": " <q>{command.reason.clone()}</q>
                </p>
                {command.message.clone().map(|message| view! { <p class="entry__result">{message}</p> }.into_any())}
                <ol class="entry__steps" aria-label="Steps">
                    {all(command.steps().into_iter().map(|step| view! { <StepLine step/> }.into_any()))}
                </ol>
                {(command.state == State::Pending)
                    .then(|| view! { <p class="entry__expires muted">"Expires at " <Moment at=command.expires_at relative=false/></p> }.into_any())}
                {can_cancel
                    .then(|| {
                        view! {
                            <button
                                class="button button--small" type="button" on:click=cancel
                                aria-disabled=move || busy.get().then_some("true")
                            >
                                {format!("Cancel command {id}")}
                            </button>
                        }
    .into_any()
                    })}
                {problem(error)}
            </li>
        }
}

#[component]
fn StepLine(step: Step) -> impl IntoView {
    view! {
        <li class=if step.at.is_some() { "step" } else { "step step--waiting" }>
            <span class="step__name">{step.name}</span>
            {step.at.map(|at| view! { <Moment at relative=false/> }.into_any())}
            {step.took.map(|took| view! { <span class="step__took">{format!("+{took}")}</span> }.into_any())}
        </li>
    }
}
