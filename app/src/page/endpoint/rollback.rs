use leptos::prelude::*;

use crate::{
    api,
    clock::Clock,
    model::Rollback,
    page::{
        ask::{Ask, Asked},
        session,
    },
    ui::{Icon, Shape, maybe, text, view},
};

const HOUR_SECONDS: i64 = 3_600;

/// When the isolation ends by itself, and what may be done about that.
#[component]
pub fn RollbackNotice(rollback: RwSignal<Option<Rollback>>) -> impl IntoView {
    let now = Clock::now();
    let is_there = Memo::new(move |_| rollback.read().is_some());
    let words =
        move || rollback.read().as_ref().map(|rollback| rollback.words(now.get())).unwrap_or_default();
    maybe(move || {
        is_there.get().then(|| {
            let session = session();
            let refusal = session.refusal(session.isolate);
            view! {
                <div class="rollback" role="group" aria-label="Automatic release">
                    <p class="rollback__words"><Icon shape=Shape::Clock/><b>{text(words)}</b></p>
                    <div class="asks">
                        <Ask name="Extend by 1 h" may=session.isolate.yes ask=extend(rollback, 1)/>
                        <Ask name="Extend by 4 h" may=session.isolate.yes ask=extend(rollback, 4)/>
                        <Ask name="Stay isolated" may=session.cancel.yes ask=cancel(rollback)/>
                    </div>
                    {refusal.map(|refusal| view! { <p class="muted">{refusal}</p> })}
                </div>
            }
        })
    })
}

fn extend(rollback: RwSignal<Option<Rollback>>, hours: i64) -> Callback<(), Asked> {
    Callback::new(move |()| {
        let id = id(rollback);
        Box::pin(async move {
            let moved = api::extend_rollback(id, hours * HOUR_SECONDS).await?;
            rollback.try_set(moved);
            Ok(())
        }) as Asked
    })
}

fn cancel(rollback: RwSignal<Option<Rollback>>) -> Callback<(), Asked> {
    Callback::new(move |()| {
        let id = id(rollback);
        Box::pin(async move {
            api::cancel_schedule(id).await?;
            rollback.try_set(None);
            Ok(())
        }) as Asked
    })
}

fn id(rollback: RwSignal<Option<Rollback>>) -> String {
    rollback.read_untracked().as_ref().map(|rollback| rollback.schedule_id.clone()).unwrap_or_default()
}
