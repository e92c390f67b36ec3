use leptos::{ev::SubmitEvent, prelude::*};

use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{
        Secret, Sheet,
        record::{Form, Input, Kind},
    },
    page::problem,
    ui::{
        all,
        dom::{go, spawn},
        form, tag, view, words,
    },
};

/// Gets what came of a form.
pub type Done = Callback<Sheet>;

/// A form that the server described. One that finds goes to the address of what it finds; another asks the server, once at a
/// time, and says at its fields what is wrong.
pub fn record_form(asked: Form, done: Done) -> AnyView {
    let mounted = mounted();
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    let Form { id, title, about, finds, hidden, fields, button, tone } = asked;
    let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    let class = if finds.is_some() { "form form--row filters" } else { "form record" };
    let drawn = all(fields.into_iter().map(|field| input(&id, field)));
    let own_id = id.clone();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let encoded = form::encoded(&own_id);
        if let Some(path) = &finds {
            return find(path, &encoded);
        }
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(blame(&own_id, &names, None));
        let (id, names) = (own_id.clone(), names.clone());
        spawn(async move {
            match api::operate(Secret(encoded)).await {
                Ok(sheet) => {
                    // What was typed, passwords among it, stays nowhere, whether the form is drawn anew or not.
                    form::reset(&id, &[]);
                    form::fold(&id);
                    done.try_run(sheet);
                }
                Err(refused) => _ = error.try_set(blame(&id, &names, Some(refused))),
            }
            busy.try_set(false);
        });
    };
    let hidden = all(hidden.into_iter().map(|(name, value)| {
        view! { <input type="hidden" name=name value=value/> }
    }));
    let form = view! {
        <form class=class id=id on:submit=submit novalidate>
            {hidden}
            {(!about.is_empty()).then(|| words("p", "muted", about))}
            {drawn}
            <div class="asks">
                <button
                    class=format!("button button--{tone}") type="submit" disabled=move || !mounted.get()
                    aria-disabled=move || busy.get().then_some("true")
                >
                    {button}
                </button>
            </div>
            {problem(error)}
        </form>
    };
    if title.is_empty() {
        return form;
    }
    tag("details", "panel fold", all([words("summary", "", title), form]))
}

/// What is left empty is not asked for.
fn find(path: &str, encoded: &str) {
    let asked: Vec<&str> = encoded.split('&').filter(|field| !field.ends_with('=')).collect();
    if asked.is_empty() { go(path) } else { go(&[path, "?", &asked.join("&")].concat()) }
}

fn blame(form: &str, names: &[String], error: Option<ApiError>) -> Option<ApiError> {
    let ids: Vec<String> = names.iter().map(|name| id_of(form, name)).collect();
    let fields: Vec<(&str, &str)> =
        names.iter().zip(&ids).map(|(name, id)| (name.as_str(), id.as_str())).collect();
    form::blame(&fields, error)
}

fn id_of(form: &str, name: &str) -> String {
    [form, "-", name].concat()
}

fn input(form: &str, input: Input) -> AnyView {
    let Input { name, label, about, value, kind } = input;
    let id = id_of(form, &name);
    let (problem_id, about_id) = (id_of(&id, "problem"), id_of(&id, "about"));
    let described = [problem_id.as_str(), " ", about_id.as_str()].concat();
    let (kind, complete) = match kind {
        Kind::Choice(choices) => {
            let options = choices.into_iter().map(|(choice, words)| {
                let is_chosen = choice == value;
                view! { <option value=choice selected=is_chosen>{words}</option> }
            });
            let options = all(options);
            let select = view! {
                <select class="select" id=id.clone() name=name aria-describedby=described>{options}</select>
            };
            return field(id, label, about, problem_id, about_id, select);
        }
        Kind::Text => ("text", "off"),
        Kind::Number => ("number", "off"),
        Kind::Time => ("datetime-local", "off"),
        Kind::Password => ("password", "current-password"),
        Kind::NewPassword => ("password", "new-password"),
    };
    let step = (kind == "datetime-local").then_some("1");
    let control = view! {
        <input
            class="input" id=id.clone() name=name type=kind value=value step=step maxlength="300" autocomplete=complete
            autocapitalize="off" spellcheck="false" aria-describedby=described
        />
    };
    field(id, label, about, problem_id, about_id, control)
}

fn field(
    id: String,
    label: String,
    about: String,
    problem_id: String,
    about_id: String,
    control: AnyView,
) -> AnyView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            {control}
            <p class="field__about">
                <span class="field__problem" id=problem_id></span>
                <span id=about_id>{about}</span>
            </p>
        </div>
    }
}
