use leptos::prelude::*;

use super::put;
use crate::{
    api,
    model::{
        Command, State,
        command::{Of, Recall, Step},
    },
    page::{
        ask::{Ask, Asked, Load, More},
        session,
    },
    ui::{Item, Moment, StateBadge, all, list, maybe, view},
};

/// The endpoint's commands, newest first, each with its steps.
#[component]
pub fn Timeline(
    commands: RwSignal<Vec<Command>>,
    older: RwSignal<Option<i64>>,
    endpoint_id: String,
) -> impl IntoView {
    let load: Load = Callback::new(move |before| {
        let id = endpoint_id.clone();
        Box::pin(async move {
            let found = api::commands(Of::Endpoint(id), Some(before)).await?;
            commands.try_update(|commands| commands.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let entries = move || {
        let entry = |command: Command| {
            Item::new(version(&command), move || {
                view! { <Entry command=command.clone() commands older/> }
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
                    .then(|| view! { <p class="muted">"No command was sent to this host yet."</p> })
            })}
            <ol class="timeline">{list(entries)}</ol>
            <More name="Load older commands" next=older load/>
        </section>
    }
}

/// Changes with everything that changes in a command's life.
fn version(command: &Command) -> String {
    let Command { id, attempt, state, .. } = command;
    format!("{id} {attempt} {} {}", state.word(), command.steps().len())
}

#[component]
fn Entry(command: Command, commands: RwSignal<Vec<Command>>, older: RwSignal<Option<i64>>) -> impl IntoView {
    let id = command.id;
    let title_id = format!("command-{id}");
    view! {
        <li class="entry" aria-labelledby=title_id.clone()>
            <div class="entry__head">
                <h3 id=title_id.clone()>
                    {command.title().to_owned()} " " <span class="entry__id mono">{format!("#{id}")}</span>
                </h3>
                <StateBadge state=command.state/>
                <span class="entry__details">{command.details()}</span>
                {command.batch_id.as_ref().map(|id| view! { <a href=format!("/batches/{id}")>"Batch"</a> })}
            </div>
            <p class="entry__why">
                <b>{command.created_by.clone()}</b> ": " <q>{command.reason.clone()}</q>
            </p>
            {command.message.clone().map(|message| view! { <p class="entry__result">{message}</p> })}
            <ol class="entry__steps" aria-label="Steps">
                {all(command.steps().into_iter().map(|step| view! { <StepLine step/> }))}
            </ol>
            {command.recall_answer().map(|answer| view! { <p>{answer}</p> })}
            {(command.state == State::Pending)
                .then(|| view! { <p class="entry__expires muted">"Expires at " <Moment at=command.expires_at relative=false/></p> })}
            {command.recall().map(|recall| view! { <Cancel id recall commands older/> })}
        </li>
    }
}

#[component]
fn Cancel(
    id: i64,
    recall: Recall,
    commands: RwSignal<Vec<Command>>,
    older: RwSignal<Option<i64>>,
) -> impl IntoView {
    let session = session();
    let refusal = session.refusal(session.cancel);
    let (name, about) = match recall {
        Recall::Certain => (format!("Cancel command {id}"), "It was not handed out: cancelling is certain."),
        Recall::Asked => (
            format!("Ask to cancel command {id}"),
            "It was handed out: the host is asked, and answers whether it was in time.",
        ),
    };
    let ask = Callback::new(move |()| {
        Box::pin(async move {
            put(commands, older, api::cancel_command(id).await?);
            Ok(())
        }) as Asked
    });
    view! {
        <div class="asks">
            <Ask name may=session.cancel.yes ask/>
            <span class="muted">{refusal.unwrap_or_else(|| about.to_owned())}</span>
        </div>
    }
}

#[component]
fn StepLine(step: Step) -> impl IntoView {
    view! {
        <li class=if step.at.is_some() { "step" } else { "step step--waiting" }>
            <span class="step__name">{step.name}</span>
            {step.at.map(|at| view! { <Moment at relative=false/> })}
            {step.took.map(|took| view! { <span class="step__took">{format!("+{took}")}</span> })}
        </li>
    }
}
