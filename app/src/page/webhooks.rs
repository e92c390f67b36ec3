//! `/webhooks`: other systems that are told what happens.

mod deliveries;
mod edit;

use std::pin::Pin;

use leptos::prelude::*;
use leptos_meta::Title;

use self::{deliveries::Deliveries, edit::EditDialog};
use super::{
    Problem,
    ask::{Ask, Asked},
    start::{Started, start},
};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    live::Mark,
    model::{Secret, Webhook, WebhookChange},
    ui::{CopyLine, Item, Moment, Notice, Tone, all, list, maybe, said, tag, view, words},
};

#[component]
pub fn Webhooks() -> impl IntoView {
    view! {
        <Title text="Webhooks"/>
        {start(String::new, |_| api::webhooks(), draw)}
    }
}

fn draw(started: Started<Vec<Webhook>>, _mark: Mark) -> AnyView {
    match started {
        Ok(webhooks) => view! { <Loaded webhooks/> },
        Err(error) => view! {
            <h1>"Webhooks"</h1>
            <Problem error/>
        },
    }
}

/// What the page shows.
#[derive(Clone, Copy)]
struct Shown {
    webhooks: RwSignal<Vec<Webhook>>,
    /// Shown once: of which webhook, and the secret.
    secret: RwSignal<Option<(String, Secret)>>,
    /// What is written in the dialog, while it is open; without an id: a new one.
    edited: RwSignal<Option<Webhook>>,
}

impl Shown {
    /// `form`: encoded, with its `action`.
    fn change(self, name: String, form: String) -> Pin<Box<dyn Future<Output = Result<(), ApiError>>>> {
        Box::pin(async move {
            let WebhookChange { secret, webhooks } = api::change_webhook(form).await?;
            self.webhooks.try_set(webhooks);
            if let Some(secret) = secret {
                self.secret.try_set(Some((name, secret)));
            }
            Ok(())
        })
    }

    /// A button that does one thing to a webhook.
    fn ask(self, webhook: &Webhook, label: &str, action: &'static str) -> AnyView {
        let (id, name) = (webhook.id.clone(), webhook.name.clone());
        let ask = Callback::new(move |()| {
            self.change(name.clone(), ["action=", action, "&id=", &id].concat()) as Asked
        });
        view! { <Ask name=label.to_owned() may=true ask/> }
    }
}

#[component]
fn Loaded(webhooks: Vec<Webhook>) -> impl IntoView {
    let shown =
        Shown { webhooks: RwSignal::new(webhooks), secret: RwSignal::new(None), edited: RwSignal::new(None) };
    let mounted = mounted();
    let is_empty = Memo::new(move |_| shown.webhooks.read().is_empty());
    view! {
        <div class="head">
            <h1>"Webhooks"</h1>
            <button
                class="button button--primary head__action" type="button" disabled=move || !mounted.get()
                on:click=move |_| shown.edited.set(Some(edit::new()))
            >
                "New webhook"
            </button>
            <p class="muted">
                "Each webhook is told of the events it is for, at least once, in the form of Standard Webhooks or as a message for Slack."
            </p>
        </div>
        {maybe(move || shown.secret.get().map(|(name, secret)| new_secret(name, secret, shown)))}
        {maybe(move || is_empty.get().then(|| words("p", "muted", "There is no webhook yet.")))}
        {list(move || shown.webhooks.get().into_iter().map(|webhook| item(webhook, shown)).collect())}
        <EditDialog shown/>
    }
}

fn new_secret(name: String, secret: Secret, shown: Shown) -> AnyView {
    view! {
        <Notice tone=Tone::Info>
            <p>
                "The secret of " {said(name)}
                ", shown this once. The receiver checks the header webhook-signature with it."
            </p>
            <CopyLine line=secret.0 what="the webhook's secret"/>
            <button class="button button--small" type="button" on:click=move |_| shown.secret.set(None)>
                "It is kept"
            </button>
        </Notice>
    }
}

/// Changes with everything that is drawn.
fn item(webhook: Webhook, shown: Shown) -> Item {
    let Webhook { id, name, url, preset, state, both_until, .. } = &webhook;
    let key = format!("{id} {name} {url} {preset} {state} {both_until:?} {}", webhook.told_words());
    Item::new(key, move || panel(&webhook, shown))
}

fn panel(webhook: &Webhook, shown: Shown) -> AnyView {
    let (pause, action) = if webhook.is_active() { ("Pause", "pause") } else { ("Resume", "resume") };
    let edited = webhook.clone();
    let edit = move |_| shown.edited.set(Some(edited.clone()));
    let named = |verb: &str| [verb, " ", &webhook.name].concat();
    let is_open = RwSignal::new(false);
    let id = webhook.id.clone();
    let both = webhook.both_until.map(|at| {
        view! { <p class="muted">"Signed with the secret before the last one as well until " <Moment at relative=false/> "."</p> }
    });
    let facts = [
        ("Address", said(webhook.url.clone())),
        ("Form", webhook.preset.clone().into_any()),
        ("Told of", webhook.told_words().into_any()),
        ("State", webhook.state_words().into_any()),
        (
            "Made",
            all([
                webhook.created_by.clone().into_any(),
                ", ".into_any(),
                view! { <Moment at=webhook.created_at/> },
            ]),
        ),
    ];
    let facts = facts.map(|(name, value)| all([words("dt", "", name), tag("dd", "", value)]));
    view! {
        <section class="panel webhook" aria-label=webhook.name.clone()>
            <h2>{said(webhook.name.clone())}</h2>
            <dl class="pairs">{all(facts)}</dl>
            {both}
            <div class="asks">
                {shown.ask(webhook, &named("Test"), "test")}
                <button class="button button--small" type="button" on:click=edit>{named("Edit")}</button>
                {shown.ask(webhook, &named(pause), action)}
                {shown.ask(webhook, &named("Rotate the secret of"), "rotate")}
                <button
                    class="button button--small" type="button" on:click=move |_| is_open.update(|open| *open = !*open)
                    aria-expanded=move || if is_open.get() { "true" } else { "false" }
                >
                    {named("Deliveries of")}
                </button>
            </div>
            {maybe(move || is_open.get().then(|| view! { <Deliveries id=id.clone()/> }))}
            <details class="fold">
                <summary>{named("Delete")}"…"</summary>
                <p>"Its deliveries are deleted with it. This cannot be undone."</p>
                {shown.ask(webhook, &named("Delete"), "delete")}
            </details>
        </section>
    }
}
