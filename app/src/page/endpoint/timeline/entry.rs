use leptos::prelude::*;

use super::super::{Host, put};
use crate::{
    api,
    model::{
        Command, State,
        command::{Recall, Step},
        log::Event,
    },
    page::{
        ask::{Ask, Asked},
        order_dialog::new_key,
        session,
    },
    ui::{Icon, Moment, Shape, StateBadge, all, maybe, said, sheet::progress, text, view},
};

/// Changes with everything that changes in a command's life.
pub fn version(command: &Command) -> String {
    let Command { id, attempt, state, .. } = command;
    format!("{id} {attempt} {} {}", state.word(), command.steps().len())
}

pub fn entry(command: Command, host: Host) -> AnyView {
    view! { <Entry command host/> }
}

#[component]
fn Entry(command: Command, host: Host) -> impl IntoView {
    let id = command.id;
    let title_id = format!("command-{id}");
    let under_way = maybe(move || {
        let now = host.progress.get().filter(|now| now.command_id == id)?;
        Some(progress(now.words(), now.percent()))
    });
    let may_be_retried = matches!(command.state, State::Failed | State::Expired | State::Cancelled);
    view! {
        <li class="entry" aria-labelledby=title_id.clone()>
            <div class="entry__head">
                <h3 id=title_id.clone()>
                    {command.title().to_owned()} " " <span class="entry__id mono">{format!("#{id}")}</span>
                </h3>
                <StateBadge state=command.state/>
                <span class="entry__details">{command.details()}</span>
                {command.batch_id.as_ref().map(|id| view! { <a href=format!("/batches/{id}")>"Batch"</a> })}
                {(command.kind == "collect_forensics").then(|| view! { <a href=format!("/evidence/{id}")>"Evidence"</a> })}
            </div>
            <p class="entry__why">
                <b>{command.created_by.clone()}</b> ": " <q>{command.reason.clone()}</q>
            </p>
            {(!command.about.is_empty()).then(|| view! { <p class="muted">{said(command.about.clone())}</p> })}
            {command.message.clone().map(|message| view! { <p class="entry__result">{message}</p> })}
            <ol class="entry__steps" aria-label="Steps">
                {all(command.steps().into_iter().map(|step| view! { <StepLine step/> }))}
            </ol>
            {command.state.is_open().then_some(under_way)}
            {command.recall_answer().map(|answer| view! { <p>{answer}</p> })}
            {(command.state == State::Pending)
                .then(|| view! { <p class="entry__expires muted">"Expires at " <Moment at=command.expires_at relative=false/></p> })}
            {command.recall().map(|recall| view! { <Cancel id recall host/> })}
            {(may_be_retried && session().check.yes).then(|| view! { <Retry id/> })}
        </li>
    }
}

#[component]
pub fn EventEntry(event: Event) -> impl IntoView {
    let shape = if event.is_alarming() { Shape::Triangle } else { Shape::Info };
    let class = if event.is_alarming() { "entry__event entry__event--alarm" } else { "entry__event" };
    view! {
        <li class="entry">
            <div class="entry__head">
                <span class=class><Icon shape/><b>{event.title().to_owned()}</b></span>
                <span class="entry__details">{event.by}</span>
                <Moment at=event.at/>
                {event.command_id.map(|id| view! { <span class="entry__id mono">{format!("#{id}")}</span> })}
            </div>
            {(!event.words.is_empty()).then(|| view! { <p class="entry__why">{said(event.words)}</p> })}
        </li>
    }
}

#[component]
fn Cancel(id: i64, recall: Recall, host: Host) -> impl IntoView {
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
            put(host.commands, host.older, api::cancel_command(id).await?);
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

/// The new command comes over the live updates, as every other one does.
#[component]
fn Retry(id: i64) -> impl IntoView {
    // One key for as long as it stands here: pressed twice, it is one command.
    let key = StoredValue::new(String::new());
    let answer = RwSignal::new(String::new());
    let ask = Callback::new(move |()| {
        if key.with_value(String::is_empty) {
            key.set_value(new_key());
        }
        let key = key.get_value();
        Box::pin(async move {
            let made = api::retry_command(id, key).await?;
            let number = made.command_id;
            answer.try_set(if made.existing {
                format!("Command {number} does it already.")
            } else {
                format!("It was ordered again, as command {number}.")
            });
            Ok(())
        }) as Asked
    });
    view! {
        <div class="asks">
            <Ask name=format!("Retry command {id}") may=true ask/>
            <span role="status">{text(move || answer.get())}</span>
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
