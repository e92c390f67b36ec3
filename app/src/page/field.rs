use leptos::prelude::*;

use crate::{
    error::ApiError,
    ui::maybe,
};

/// A control with its label, what is to know about it, and what is wrong with it: the problem that `error` has with the
/// server function's argument `of`. The control is the element `id`, described by `{id}-about`.
#[component]
pub fn Field(
    id: &'static str,
    of: &'static str,
    label: &'static str,
    about: &'static str,
    error: RwSignal<Option<ApiError>>,
    #[prop(optional)] grow: bool,
    children: Children,
) -> impl IntoView {
    view! {
        <div class=if grow { "field field--grow" } else { "field" }>
            <label for=id>{label}</label>
            {children()}
            <p class="field__about" id=format!("{id}-about")>
                {maybe(move || {
                    error.read().as_ref().and_then(|error| error.of_field(of)).map(|problem| {
                        view! { <span class="field__about--wrong" role="alert">{sentence(problem)}</span> }.into_any()
                    })
                })}
                <span>{about}</span>
            </p>
        </div>
    }
}

/// Whether `error` is about this field.
pub fn is_wrong(error: RwSignal<Option<ApiError>>, of: &str) -> bool {
    error.read().as_ref().is_some_and(|error| error.of_field(of).is_some())
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
