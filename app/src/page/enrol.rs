//! `/enrol`, and the same panel on the empty list.

mod wait;

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_meta::Title;

use self::wait::Wait;
use super::{problem, session};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::EnrolmentToken,
    ui::{
        CopyLine, Moment, Notice, Tone,
        dom::{input_value, spawn},
        part, text, view,
    },
};

const START: &str = "sudo systemctl enable --now voltaxe-sentinel";

#[component]
pub fn Enrol() -> impl IntoView {
    view! {
        <Title text="Enrol"/>
        <div class="head">
            <h1>"Enrol hosts"</h1>
        </div>
        <EnrolPanel first=false/>
    }
}

#[component]
pub fn EnrolPanel(
    /// There is no endpoint yet.
    first: bool,
) -> impl IntoView {
    let allowed = session().enrol;
    let token = RwSignal::new(None::<EnrolmentToken>);
    let title = if first { "Enrol the first host" } else { "A command for new hosts" };
    view! {
        <section class="panel enrol" aria-labelledby="enrol-title">
            <h2 id="enrol-title">{title}</h2>
            <p>
                "A host joins by one command with a token in it. The token also pins this server's key, so the host knows from its first contact on that it speaks to this server and to no other."
            </p>
            {if allowed.yes {
                part(move || match token.get() {
                    None => view! { <TokenForm token/> },
                    Some(made) => view! { <Steps made token/> },
                })
                    .into_any()
            } else {
                view! {
                    <Notice tone=Tone::Info>
                        {format!(
                            "Creating an enrolment token needs the role {}; you are signed in as {}. Ask an administrator to open this page, or to run ",
                            allowed.needs,
                            session().role,
                        )} <code>"voltaxe-server admin"</code> " on the server."
                    </Notice>
                }
            }}
        </section>
    }
}

#[component]
fn TokenForm(token: RwSignal<Option<EnrolmentToken>>) -> impl IntoView {
    let mounted = mounted();
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let Ok(count) = input_value("uses").trim().parse() else {
            error.set(Some(ApiError::Invalid {
                field: "Hosts".to_owned(),
                problem: "write a number, 1 to 1000".to_owned(),
            }));
            return;
        };
        let label = input_value("label");
        busy.set(true);
        error.set(None);
        spawn(async move {
            match api::create_enrolment_token(label, count).await {
                Ok(made) => token.set(Some(made)),
                Err(problem) => error.set(Some(problem)),
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="form form--row" method="post" on:submit=submit>
            <div class="field field--narrow">
                <label for="uses">"Hosts"</label>
                <input
                    class="input" id="uses" name="uses" type="number" min="1" max="1000" required
                    aria-describedby="uses-about" value="1"
                />
                <p class="field__about" id="uses-about">"How many may use it"</p>
            </div>
            <div class="field field--grow">
                <label for="label">"Label (optional)"</label>
                <input
                    class="input" id="label" name="label" type="text" maxlength="100" autocomplete="off"
                    aria-describedby="label-about"
                />
                <p class="field__about" id="label-about">"For the audit log: what these hosts are"</p>
            </div>
            <button
                class="button button--primary" type="submit" disabled=move || !mounted.get()
                aria-disabled=move || busy.get().then_some("true")
            >
                {text(move || if busy.get() { "Creating…" } else { "Create enrol command" })}
            </button>
            {problem(error)}
        </form>
    }
}

#[component]
fn Steps(made: EnrolmentToken, token: RwSignal<Option<EnrolmentToken>>) -> impl IntoView {
    let hosts = if made.uses == 1 { "one host".to_owned() } else { format!("{} hosts", made.uses) };
    let installs = made.installer_digest.is_some();
    let (title, where_to) = if installs {
        ("On the new host, install and enrol the agent", "In a shell of a Linux host (x86_64 or aarch64).")
    } else {
        ("On the new host, enrol the agent", "In a shell, with the package voltaxe-sentinel installed.")
    };
    view! {
        <ol class="steps">
            <li>
                <h3>{title}</h3>
                <p>
                    {where_to} " The line holds a secret: it is shown this once, works for "
                    {hosts} " and ends at " <Moment at=made.expires_at relative=false/> "."
                </p>
                <CopyLine line=made.enrol_command() what="the enrol command"/>
            </li>
            {(!installs).then(|| view! {
                <li>
                    <h3>"Start the agent"</h3>
                    <CopyLine line=START what="the start command"/>
                </li>
            })}
            <li>
                <h3>"See it arrive"</h3>
                <Wait since=made.created_at server_url=made.server_url.clone()/>
            </li>
        </ol>
        <button class="button" type="button" on:click=move |_| token.set(None)>"Create another command"</button>
    }
}
