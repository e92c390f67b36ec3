use leptos::{ev::SubmitEvent, prelude::*};

use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{Awaiting, Enrolment, session::Allowed},
    page::{asking::reason, problem, session},
    ui::{
        Ago, Item, Moment, all,
        dom::{dialog_while, spawn},
        form::{self, Fields},
        list, maybe, said, view, words,
    },
};

const FIELDS: &Fields = &[("reason", "approve-reason")];

/// Hosts that came with another key than the one their machine or name has.
#[component]
pub fn AwaitingList(shown: RwSignal<Enrolment>) -> impl IntoView {
    let session = session();
    let (allowed, refusal) = (session.approve, session.refusal(session.approve));
    let asked = RwSignal::new(None::<Awaiting>);
    let is_empty = Memo::new(move |_| shown.read().awaiting.is_empty());
    let items = move || shown.get().awaiting.into_iter().map(|host| item(host, asked, allowed)).collect();
    view! {
        {maybe(move || (!is_empty.get()).then(|| view! {
            <h2>"Waiting for approval"</h2>
            <p class="muted">
                "These came with another key than the one their machine or name has: installed anew, or somebody else who says so. Ask whoever looks after the host before you approve."
            </p>
            {refusal.clone().map(|refusal| words("p", "muted", refusal))}
        }))}
        {list(items)}
        <ApproveDialog shown asked/>
    }
}

fn item(host: Awaiting, asked: RwSignal<Option<Awaiting>>, allowed: Allowed) -> Item {
    Item::new(format!("{} {}", host.id, host.holders.len()), move || panel(&host, asked, allowed))
}

fn panel(host: &Awaiting, asked: RwSignal<Option<Awaiting>>, allowed: Allowed) -> AnyView {
    let mounted = mounted();
    let wanted = host.clone();
    let press = move |_| {
        if allowed.yes {
            asked.set(Some(wanted.clone()));
        }
    };
    view! {
        <section class="panel awaiting" aria-label=host.hostname.clone()>
            <h3><a href=["/endpoints/", &host.id].concat()>{host.hostname.clone()}</a></h3>
            {keys(host)}
            <div class="asks">
                <button
                    class="button" type="button" on:click=press disabled=move || !mounted.get()
                    aria-disabled=(!allowed.yes).then_some("true")
                >
                    {["Approve ", &host.hostname, "…"].concat()}
                </button>
            </div>
        </section>
    }
}

/// The new key, and those that it would replace.
fn keys(host: &Awaiting) -> AnyView {
    let holders = host.holders.iter().map(|holder| {
        view! {
            <dt>"Key that would be revoked"</dt>
            <dd>
                <code>{holder.fingerprint.clone()}</code>
                <p class="muted">"Of " {holder.hostname.clone()} ", last seen " <Ago at=holder.last_seen_at/></p>
            </dd>
        }
    });
    view! {
        <dl class="pairs">
            <dt>"New key"</dt>
            <dd>
                <code>{host.fingerprint.clone()}</code>
                <p class="muted">
                    {said(host.os.clone())} ", enrolled " <Moment at=host.enrolled_at/>
                    {(!host.label.is_empty()).then(|| all([", by the command ".into_any(), said(host.label.clone())]))}
                </p>
            </dd>
            {all(holders)}
        </dl>
    }
}

#[component]
fn ApproveDialog(shown: RwSignal<Enrolment>, asked: RwSignal<Option<Awaiting>>) -> impl IntoView {
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    let prepare = move || {
        form::reset("approve-form", FIELDS);
        error.set(None);
        busy.set(false);
    };
    dialog_while("approve", move || asked.read().is_some(), prepare);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(host) = asked.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        error.set(form::blame(FIELDS, None));
        let approved = api::approve_endpoint(host.id, form::value("approve-reason"));
        spawn(async move {
            match approved.await {
                Ok(enrolment) => {
                    shown.try_set(enrolment);
                    asked.try_set(None);
                }
                Err(refused) => _ = error.try_set(form::blame(FIELDS, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    view! {
        <dialog class="dialog" id="approve" aria-labelledby="approve-title" on:close=move |_| asked.set(None)>
            <form class="dialog__body" id="approve-form" on:submit=submit novalidate>
                <div class="dialog__content">
                    <h2 id="approve-title">"Approve the new key?"</h2>
                    {maybe(move || asked.get().map(|host| keys(&host)))}
                    <p>
                        "The endpoint that holds the machine or the name now is revoked, and the commands that wait for it are cancelled. This cannot be undone."
                    </p>
                    {reason("approve-reason").draw()}
                </div>
                {problem(error)}
                <div class="dialog__buttons">
                    <button class="button" type="button" on:click=move |_| asked.set(None)>"Leave it waiting"</button>
                    <button
                        class="button button--danger" type="submit" aria-disabled=move || busy.get().then_some("true")
                    >
                        "Approve"
                    </button>
                </div>
            </form>
        </dialog>
    }
}
