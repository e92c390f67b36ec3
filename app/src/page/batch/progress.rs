use leptos::prelude::*;

use crate::{
    api,
    clock::mounted,
    model::{Order, Progress, State},
    page::{
        ask::{Ask, Asked},
        order_dialog::{Draft, Target},
        session,
    },
    ui::{StateBadge, all, maybe, part, text, view},
};

/// The length of the bar in its own units.
const LENGTH: i64 = 1_000;

/// How many commands are in each state, and what can be done about the whole.
#[component]
pub fn ProgressPanel(progress: RwSignal<Progress>, draft: RwSignal<Option<Draft>>) -> impl IntoView {
    let existing = progress.with_untracked(Progress::existing);
    view! {
        <section class="panel" aria-labelledby="progress-title">
            <h2 id="progress-title">"Progress"</h2>
            <p class="progress__words" role="status">{text(move || progress.with(Progress::words))}</p>
            {part(move || bar(&progress.read()))}
            <ul class="progress__counts">{part(move || counts(&progress.read()))}</ul>
            {(existing > 0)
                .then(|| {
                    let words = format!("{existing} more needed no command: their last order was the same.");
                    view! { <p class="muted">{words}</p> }
                })}
            <Actions progress draft/>
        </section>
    }
}

#[component]
fn Actions(progress: RwSignal<Progress>, draft: RwSignal<Option<Draft>>) -> impl IntoView {
    let (session, mounted) = (session(), mounted());
    let (may_cancel, may_undo) = (session.cancel.yes, session.restore.yes);
    let refusal = session.refusal(session.cancel).or(session.refusal(session.restore));
    let is_open = Memo::new(move |_| {
        progress.with(|progress| progress.open() > 0 && progress.batch.cancelled_at.is_none())
    });
    let was_isolated = Memo::new(move |_| {
        progress.with(|progress| {
            progress.batch.kind == Order::Isolate.kind() && progress.count(State::Executed) > 0
        })
    });
    let id = progress.with_untracked(|progress| progress.batch.id.clone());
    let cancel = {
        let id = id.clone();
        Callback::new(move |()| {
            let id = id.clone();
            Box::pin(async move {
                let found = api::cancel_batch(id).await?;
                progress.try_set(found);
                Ok(())
            }) as Asked
        })
    };
    let undo = Callback::new(move |()| {
        if may_undo {
            draft.set(Some(Draft::new(Order::Restore, Target::Undo(id.clone()), String::new())));
        }
    });
    view! {
        <div class="asks">
            {maybe(move || {
                is_open.get().then(|| {
                    view! { <Ask name="Cancel the rest" class="button" may=may_cancel ask=cancel/> }
                })
            })}
            {maybe(move || was_isolated.get().then(|| view! {
                <button
                    class="button" type="button" disabled=move || !mounted.get()
                    on:click=move |_| undo.run(())
                    aria-disabled=(!may_undo).then_some("true")
                >
                    "Undo…"
                </button>
            }))}
        </div>
        {refusal.map(|refusal| view! { <p class="muted">{refusal}</p> })}
    }
}

/// The list below says the same in words.
fn bar(progress: &Progress) -> AnyView {
    let parts = progress.bar(LENGTH).into_iter().map(|(state, start, length)| {
        view! {
            <rect
                class=format!("progress__part progress__part--{}", tone(state))
                x=start.to_string() y="0" width=length.to_string() height="10"
            ></rect>
        }
    });
    view! {
        <svg
            class="progress__bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false"
        >
            {all(parts)}
        </svg>
    }
}

fn counts(progress: &Progress) -> AnyView {
    let some = Progress::STATES.into_iter().filter(|state| progress.count(*state) > 0);
    all(some.map(|state| {
        view! { <li><b>{progress.count(state).to_string()}</b> " " <StateBadge state/></li> }
    }))
}

fn tone(state: State) -> &'static str {
    match state {
        State::Executed => "ok",
        State::Failed => "danger",
        State::Expired => "warn",
        State::Delivered => "busy",
        State::Cancelled | State::Pending | State::Unknown => "plain",
    }
}
