//! `/enrol`, and the same panel on the empty list.

mod awaiting;
mod tokens;
mod wait;

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_meta::Title;

use self::{awaiting::AwaitingList, tokens::Tokens, wait::Wait};
use super::{
    Problem, problem, session,
    start::{Started, start},
};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    live::Mark,
    model::{Enrolment, EnrolmentToken, Package},
    ui::{
        CopyLine, Moment, Notice, Tone,
        dom::{input_value, spawn},
        field::{Control, Field},
        form, maybe, part, text, view,
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
        {start(String::new, |_| api::enrolment(), draw)}
    }
}

fn draw(started: Started<Enrolment>, _mark: Mark) -> AnyView {
    match started {
        Ok(enrolment) => view! { <Loaded enrolment/> },
        Err(error) => view! { <Problem error/> },
    }
}

/// Who waits to be let in, and the tokens there are.
#[component]
fn Loaded(enrolment: Enrolment) -> impl IntoView {
    let shown = RwSignal::new(enrolment);
    tokens::keep_fresh(shown);
    view! {
        <AwaitingList shown/>
        <Tokens shown/>
    }
}

/// Before there is any endpoint.
pub fn first_enrolment() -> AnyView {
    view! { <EnrolPanel first=true/> }
}

#[component]
fn EnrolPanel(
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
        let seconds = form::value("lifetime").parse().unwrap_or(3_600);
        busy.set(true);
        error.set(None);
        spawn(async move {
            match api::create_enrolment_token(label, count, seconds).await {
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
            {lifetime()}
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

fn lifetime() -> AnyView {
    let lifetime = Field {
        id: "lifetime",
        name: "lifetime",
        label: "Ends after",
        about: "",
        class: "",
        control: Control::Select(&[
            ("3600", "1 hour"),
            ("28800", "8 hours"),
            ("86400", "1 day"),
            ("604800", "7 days"),
        ]),
    };
    lifetime.draw()
}

fn package_choice() -> AnyView {
    let package = Field {
        id: "package",
        name: "package",
        label: "Package",
        about: "",
        class: "",
        control: Control::Select(&[
            ("chosen", "What fits the host: deb, rpm or tar"),
            ("deb", "deb: Debian, Ubuntu"),
            ("rpm", "rpm: Red Hat, SUSE"),
            ("tar", "tar: any other Linux with systemd"),
            ("there", "None: the agent is there already"),
        ]),
    };
    package.draw()
}

#[component]
fn Steps(made: EnrolmentToken, token: RwSignal<Option<EnrolmentToken>>) -> impl IntoView {
    let hosts = if made.uses == 1 { "one host".to_owned() } else { format!("{} hosts", made.uses) };
    let has_packages = made.installer_digest.is_some();
    let package = RwSignal::new(if has_packages { Package::Chosen } else { Package::There });
    let is_there = Memo::new(move |_| package.get() == Package::There);
    let (expires_at, since, server_url) = (made.expires_at, made.created_at, made.server_url.clone());
    view! {
        <ol class="steps">
            <li>
                <h3>"Run this on the host to protect"</h3>
                <p>
                    "As root, in a shell of that host: not on this server and not on your own machine, unless that is the one to protect. "
                    {text(move || if is_there.get() {
                        "The package voltaxe-sentinel must be installed there."
                    } else {
                        "It installs the agent on Linux, x86_64 or aarch64, and enrols it."
                    })}
                    " The line holds a secret: it is shown this once, works for " {hosts} " and ends at "
                    <Moment at=expires_at relative=false/> "."
                </p>
                {has_packages.then(|| view! {
                    <div on:change=move |_| package.set(Package::of(&form::value("package")))>{package_choice()}</div>
                })}
                {part(move || view! { <CopyLine line=made.enrol_command(package.get()) what="the enrol command"/> })}
            </li>
            {maybe(move || is_there.get().then(|| view! {
                <li>
                    <h3>"Start the agent"</h3>
                    <CopyLine line=START what="the start command"/>
                </li>
            }))}
            <li>
                <h3>"See it arrive"</h3>
                <Wait since server_url/>
            </li>
        </ol>
        <button class="button" type="button" on:click=move |_| token.set(None)>"Create another command"</button>
    }
}
