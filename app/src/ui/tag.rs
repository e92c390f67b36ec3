//! Elements whose tag and attributes are values: what differs in nothing else is written once.

use leptos::{
    html::element,
    prelude::*,
    tachys::html::attribute::{
        any_attribute::{AnyAttribute, IntoAnyAttribute},
        custom::custom_attribute,
    },
};

/// Names and values. They do not change.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

/// For every tag but those without an end, as `input` is.
pub fn tag_with(name: &'static str, attributes: Attributes<'_>, content: AnyView) -> AnyView {
    element(name).add_any_attr(attributes_of(attributes)).child(content).into_any()
}

pub fn tag(name: &'static str, class: &'static str, content: AnyView) -> AnyView {
    tag_with(name, &[("class", class)], content)
}

/// Text in an element.
pub fn words(name: &'static str, class: &'static str, words: impl Into<String>) -> AnyView {
    tag(name, class, words.into().into_any())
}

/// Somebody else's text: it keeps its direction of writing to itself.
pub fn said(words: String) -> AnyView {
    tag_with("bdi", &[], words.into_any())
}

pub fn attributes_of(attributes: Attributes<'_>) -> Vec<AnyAttribute> {
    let attribute =
        |(name, value): &(&'static str, &str)| custom_attribute(*name, (*value).to_owned()).into_any_attr();
    attributes.iter().map(attribute).collect()
}
