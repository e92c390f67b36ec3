//! Forms whose HTML never changes: a browser resets and checks them itself, and their code costs next to nothing. What
//! is wrong with the field `x` is said in the element `x-problem` beside it.

use js_sys::{Array, Function, Object, Reflect, global};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, FormData, HtmlFormElement, HtmlInputElement};

use super::dom::{element, focus};
use crate::error::ApiError;

/// The server's name of a field, and its element's id.
pub type Fields = [(&'static str, &'static str)];

/// What an input, a select or a text area holds.
pub fn value(id: &str) -> String {
    element::<Element>(id)
        .and_then(|field| Reflect::get(&field, &JsValue::from_str("value")).ok()?.as_string())
        .unwrap_or_default()
}

/// All that is in a form, as a browser encodes it.
pub fn encoded(id: &str) -> String {
    let Some(form) = element::<HtmlFormElement>(id) else { return String::new() };
    let encoded = || {
        let fields = FormData::new_with_form(&form).ok()?;
        let class = Reflect::get(&global(), &JsValue::from_str("URLSearchParams")).ok()?;
        Reflect::construct(class.dyn_ref::<Function>()?, &Array::of1(&fields)).ok()
    };
    encoded().map(|encoded| Object::from(encoded).to_string().into()).unwrap_or_default()
}

pub fn set_value(id: &str, value: &str) {
    if let Some(field) = element::<Element>(id) {
        let _ = Reflect::set(&field, &JsValue::from_str("value"), &JsValue::from_str(value));
    }
}

/// Of a checkbox without an id, by its name.
pub fn set_checked(form: &str, name: &str, checked: bool) {
    let selector = format!("#{form} [name={name}]");
    if let Ok(Some(field)) = leptos::prelude::document().query_selector(&selector) {
        let _ = Reflect::set(&field, &JsValue::from_str("checked"), &JsValue::from_bool(checked));
    }
}

/// Opens what the element of this id is folded up in.
pub fn unfold(id: &str) {
    if let Some(fold) = fold_of(id) {
        let _ = fold.set_attribute("open", "");
    }
}

/// Folds it up.
pub fn fold(id: &str) {
    if let Some(fold) = fold_of(id) {
        let _ = fold.remove_attribute("open");
    }
}

fn fold_of(id: &str) -> Option<Element> {
    element::<Element>(id)?.closest("details").ok().flatten()
}

pub fn reset(id: &str, fields: &Fields) {
    if let Some(form) = element::<HtmlFormElement>(id) {
        form.reset();
    }
    blame(fields, None);
}

/// A time that was written in part has no value, and must not pass for one that was left empty.
pub fn check_times(fields: &Fields) -> Result<(), ApiError> {
    let is_incomplete =
        |id: &str| element::<HtmlInputElement>(id).is_some_and(|input| !input.check_validity());
    match fields.iter().find(|(_, id)| is_incomplete(id)) {
        Some((field, _)) => Err(ApiError::Invalid {
            field: (*field).to_owned(),
            problem: "complete the time, or clear it".to_owned(),
        }),
        None => Ok(()),
    }
}

/// Says at the field what is wrong with it, and goes there. Returns the error if it is about none of them.
pub fn blame(fields: &[(&str, &str)], error: Option<ApiError>) -> Option<ApiError> {
    let mut left = error.clone();
    for (field, id) in fields {
        let problem = error.as_ref().and_then(|error| error.of_field(field));
        let (Some(input), Some(words)) =
            (element::<Element>(id), element::<Element>(&format!("{id}-problem")))
        else {
            continue;
        };
        if let Some(problem) = problem {
            let _ = input.set_attribute("aria-invalid", "true");
            words.set_text_content(Some(&sentence(problem)));
            focus(id);
            left = None;
        } else {
            let _ = input.remove_attribute("aria-invalid");
            words.set_text_content(None);
        }
    }
    left
}

/// The server's words go behind a field's name; here they stand alone.
fn sentence(mut problem: String) -> String {
    if let Some(first) = problem.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !problem.ends_with('.') {
        problem.push('.');
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_problem_becomes_a_sentence() {
        assert_eq!(sentence("must be within a year".to_owned()), "Must be within a year.");
        assert_eq!(sentence("Write 3 to 500 characters.".to_owned()), "Write 3 to 500 characters.");
        assert_eq!(sentence("ü".to_owned()), "ü.");
    }
}
