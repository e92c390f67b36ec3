//! The fields of forms. Their values are read from the form itself; what is wrong with one is said by [`super::form::blame`].

use leptos::prelude::*;

use super::{
    all, tag,
    tag::{Attributes, attributes_of},
    view,
};

pub struct Field {
    pub id: &'static str,
    pub name: &'static str,
    pub label: &'static str,
    pub about: &'static str,
    /// More classes of its box.
    pub class: &'static str,
    pub control: Control,
}

pub enum Control {
    Input(Attributes<'static>),
    Area(Attributes<'static>),
    /// Values and words; the first is chosen.
    Select(&'static [(&'static str, &'static str)]),
}

impl Field {
    pub fn draw(&self) -> AnyView {
        let Self { id, name, label, about, class, ref control } = *self;
        let (problem_id, about_id) = (format!("{id}-problem"), format!("{id}-about"));
        let described = format!("{problem_id} {about_id}");
        let control = match control {
            Control::Input(more) => view! {
                <input {..attributes_of(more)} class="input" id=id name=name aria-describedby=described/>
            },
            Control::Area(more) => view! {
                <textarea {..attributes_of(more)} class="input" id=id name=name aria-describedby=described></textarea>
            },
            Control::Select(options) => {
                let options =
                    options.iter().map(|(value, words)| view! { <option value=*value>{*words}</option> });
                view! { <select class="select" id=id name=name aria-describedby=described>{all(options)}</select> }
            }
        };
        view! {
            <div class=format!("field {class}")>
                <label for=id>{label}</label>
                {control}
                <p class="field__about">
                    <span class="field__problem" id=problem_id></span>
                    <span id=about_id>{about}</span>
                </p>
            </div>
        }
    }
}

/// Something that is on or off.
pub fn choice(name: &'static str, words: &'static str, is_on: bool) -> AnyView {
    view! { <label class="choice"><input class="tick" type="checkbox" name=name checked=is_on/>{words}</label> }
}

/// Fields one below the other or, with the class `form--row`, beside each other.
pub fn fields(class: &'static str, fields: &[Field]) -> AnyView {
    tag("div", class, all(fields.iter().map(Field::draw)))
}
