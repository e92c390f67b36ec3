use leptos::prelude::*;

use crate::{
    api,
    model::{
        Endpoint, Order,
        channels::{Channel, Health},
        endpoint::Admission,
        order::Sent,
    },
    page::{
        ask::{Ask, Asked},
        order_dialog::new_key,
        session,
    },
    ui::{Icon, Moment, Shape, all, maybe, part, text, view},
};

/// By which ways commands reach the host, and a button that tries it.
#[component]
pub fn ChannelsPanel(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let takes_orders = Memo::new(move |_| endpoint.with(|endpoint| endpoint.admission == Admission::Active));
    view! {
        <section class="panel" aria-labelledby="channels-title">
            <h2 id="channels-title">"Channels"</h2>
            <dl class="facts">
                {part(move || all(endpoint.with(|endpoint| endpoint.channels.lines(endpoint.live)).map(line)))}
            </dl>
            {maybe(move || takes_orders.get().then(|| view! { <CheckDelivery endpoint/> }))}
        </section>
    }
}

fn line(channel: Channel) -> AnyView {
    let (shape, tone) = match channel.health {
        Health::Works => (Shape::Dot, "status status--online"),
        Health::Unused => (Shape::Hollow, "status status--offline"),
        Health::Fails => (Shape::Triangle, "status status--warn"),
    };
    view! {
        <div class="fact">
            <dt><span class=tone><Icon shape/>{channel.name}</span></dt>
            <dd>
                {channel.words}
                {channel.at.map(|at| view! { " " <Moment at/> })}
                {channel.detail.map(|detail| view! { <p class="mono">{detail}</p> })}
            </dd>
        </div>
    }
}

#[component]
fn CheckDelivery(endpoint: Signal<Endpoint>) -> impl IntoView {
    let session = session();
    let answer = RwSignal::new(String::new());
    let ask = Callback::new(move |()| {
        let (id, hostname) =
            endpoint.with_untracked(|endpoint| (endpoint.id.clone(), endpoint.hostname.clone()));
        let key = new_key();
        answer.set(String::new());
        Box::pin(async move {
            let form = "reason=Check+delivery".to_owned();
            if let Sent::Command(accepted) = api::order(Order::Check, id, form, key).await? {
                answer.try_set(accepted.sentence(Order::Check, &hostname));
            }
            Ok(())
        }) as Asked
    });
    view! {
        <div class="asks">
            <Ask name="Check delivery" may=session.check.yes ask/>
            {session.refusal(session.check).map(|refusal| view! { <span class="muted">{refusal}</span> })}
        </div>
        <p class="isolation__answer" role="status">{text(move || answer.get())}</p>
    }
}
