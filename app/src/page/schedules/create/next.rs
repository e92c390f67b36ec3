use std::time::Duration;

use leptos::prelude::*;

use crate::{
    api,
    error::ApiError,
    ui::{
        all,
        dom::{Gathered, spawn},
        form, maybe, tag, view, words,
    },
};

/// After the first key of several.
const WAIT: Duration = Duration::from_millis(400);

type Runs = Result<Vec<(String, String)>, ApiError>;

/// The fields of a repetition, and when it would come due next, as they are written.
pub fn repetition(fields: AnyView) -> AnyView {
    let runs = RwSignal::new(None::<Runs>);
    let ask = Gathered::new(WAIT, move || {
        let (cron, zone) = (form::value("new-cron"), form::value("new-zone"));
        if cron.trim().is_empty() {
            runs.try_set(None);
            return;
        }
        spawn(async move {
            let found = api::preview_cron(cron.clone(), zone.clone()).await;
            // An answer to what is not written any more says nothing.
            if form::value("new-cron") == cron && form::value("new-zone") == zone {
                runs.try_set(Some(found));
            }
        });
    });
    view! {
        <div class="runs-again" on:input=move |_| ask.call()>
            {fields}
            <div role="status">{maybe(move || runs.get().map(draw))}</div>
        </div>
    }
}

fn draw(runs: Runs) -> AnyView {
    match runs {
        Err(error) => words("p", "muted", error.to_string()),
        Ok(runs) if runs.is_empty() => words("p", "field__problem", "It never comes due."),
        Ok(runs) => {
            let lines =
                runs.into_iter().map(|(there, utc)| words("li", "", [there.as_str(), " = ", &utc].concat()));
            all([words("p", "muted", "The next runs:"), tag("ul", "", all(lines))])
        }
    }
}
