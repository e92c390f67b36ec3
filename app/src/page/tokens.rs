//! `/tokens`: credentials for machines.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_meta::Title;

use super::{
    Problem,
    ask::{Ask, Asked},
    problem,
    start::{Started, start},
};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    live::Mark,
    model::{ApiToken, MadeToken},
    ui::{
        CopyLine, Item, Moment, all, cell,
        dom::spawn,
        field::{Control, Field},
        form, list, maybe, row, table, view, words,
    },
};

const FORM: &str = "new-token";
const FIELDS: &form::Fields = &[("name", "token-name"), ("role", "token-role"), ("days", "token-days")];

#[component]
pub fn Tokens() -> impl IntoView {
    view! {
        <Title text="API tokens"/>
        <div class="head">
            <h1>"API tokens"</h1>
            <p class="muted">
                "Credentials for scripts and other machines. "
                <a href="/docs" rel="external">"What they can ask for"</a>
            </p>
        </div>
        {start(String::new, |_| api::api_tokens(), draw)}
    }
}

fn draw(started: Started<Vec<ApiToken>>, _mark: Mark) -> AnyView {
    match started {
        Ok(tokens) => view! { <Loaded tokens/> },
        Err(error) => view! { <Problem error/> },
    }
}

#[derive(Clone, Copy)]
struct Shown {
    rows: RwSignal<Vec<Item>>,
    made: RwSignal<Option<MadeToken>>,
    error: RwSignal<Option<ApiError>>,
    busy: RwSignal<bool>,
}

impl Shown {
    fn put(self, tokens: Vec<ApiToken>) {
        let item = |token: ApiToken| {
            let key = format!("{}{}", token.id, token.ended.is_some());
            Item::new(key, move || line(&token, self))
        };
        self.rows.try_set(tokens.into_iter().map(item).collect());
    }

    fn create(self) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.error.set(None);
        let sent = form::encoded(FORM);
        spawn(async move {
            let outcome = async {
                self.made.try_set(Some(api::create_api_token(sent).await?));
                form::reset(FORM, FIELDS);
                self.reload().await
            };
            if let Err(error) = outcome.await {
                self.error.try_set(form::blame(FIELDS, Some(error)));
            }
            self.busy.try_set(false);
        });
    }

    async fn reload(self) -> Result<(), ApiError> {
        self.put(api::api_tokens().await?);
        Ok(())
    }
}

#[component]
fn Loaded(tokens: Vec<ApiToken>) -> impl IntoView {
    let page = Shown {
        rows: RwSignal::new(Vec::new()),
        made: RwSignal::new(None),
        error: RwSignal::new(None),
        busy: RwSignal::new(false),
    };
    page.put(tokens);
    let Shown { rows, made, error, busy } = page;
    let mounted = mounted();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        page.create();
    };
    let is_empty = Memo::new(move |_| rows.read().is_empty());
    view! {
        <section class="panel" aria-labelledby="new-token-title">
            <h2 id="new-token-title">"New token"</h2>
            <form class="form form--row" id=FORM method="post" on:submit=submit novalidate>
                {all(fields().iter().map(Field::draw))}
                <button
                    class="button button--primary" type="submit" disabled=move || !mounted.get()
                    aria-disabled=move || busy.get().then_some("true")
                >
                    "Create token"
                </button>
            </form>
            {problem(error)}
            <div role="status">{maybe(move || made.get().map(secret))}</div>
        </section>
        {maybe(move || is_empty.get().then(|| words("p", "muted", "There is no token yet.")))}
        {table(
            "API tokens",
            &["Name", "Role", "Made", "Last used", "Expires", "State"],
            list(move || rows.get()),
        )}
    }
}

fn fields() -> [Field; 3] {
    [
        Field {
            id: "token-name",
            name: "name",
            label: "Name",
            about: "What uses it; the audit log says token:NAME. Never given twice.",
            class: "field--grow",
            control: Control::Input(&[("type", "text"), ("maxlength", "48"), ("autocomplete", "off")]),
        },
        Field {
            id: "token-role",
            name: "role",
            label: "Role",
            about: "",
            class: "",
            control: Control::Select(&[
                ("viewer", "viewer: looks"),
                ("responder", "responder: acts on hosts"),
                ("admin", "admin: all but operators and tokens"),
            ]),
        },
        Field {
            id: "token-days",
            name: "days",
            label: "Days",
            about: "1 to 365",
            class: "field--narrow",
            control: Control::Input(&[("type", "number"), ("min", "1"), ("max", "365"), ("value", "90")]),
        },
    ]
}

fn secret(made: MadeToken) -> AnyView {
    view! {
        <p>
            "The token " <strong>{made.made.name}</strong>
            " is shown this once. Keep it in a file that only its user can read; it works until "
            <Moment at=made.made.expires_at relative=false/> "."
        </p>
        <CopyLine line=made.token what="the token"/>
    }
}

fn line(token: &ApiToken, tokens: Shown) -> AnyView {
    let last_used = match token.last_used_at {
        Some(at) => view! { <Moment at/> },
        None => words("span", "muted", "never"),
    };
    let state = match &token.ended {
        Some(words) => words.clone().into_any(),
        None => {
            let id = token.id.clone();
            let ask = Callback::new(move |()| {
                let id = id.clone();
                Box::pin(async move {
                    api::revoke_api_token(id).await?;
                    tokens.reload().await
                }) as Asked
            });
            view! { <Ask name=format!("Revoke {}", token.name) may=true ask/> }
        }
    };
    row(
        token.name.clone().into_any(),
        vec![
            cell("Role", token.role.as_str().into_any()),
            cell(
                "Made",
                all([
                    view! { <Moment at=token.created_at/> },
                    format!(" by {}", token.created_by).into_any(),
                ]),
            ),
            cell("Last used", last_used),
            cell("Expires", view! { <Moment at=token.expires_at relative=false/> }),
            cell("State", state),
        ],
    )
}
