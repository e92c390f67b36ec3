//! Attributes that differ in their names only. The traits take the places of leptos's own of the same names.

use leptos::tachys::{
    html::{
        attribute::{
            Attribute, AttributeValue,
            custom::{CustomAttr, CustomAttributeKey, custom_attribute},
        },
        element::{ElementType, HtmlElement},
    },
    view::{RenderHtml, add_attr::AddAnyAttr},
};

/// An attribute that is drawn anew is taken for the one that was in its place: views of one shape whose attributes differ in their
/// names must not take turns in one place.
#[derive(Clone, Copy, Debug)]
pub struct Name(&'static str);

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl CustomAttributeKey for Name {
    /// Of templates, which are not used. With an empty one what the server wrote would be written again.
    const KEY: &'static str = "name";
}

type With<T, V> = <T as AddAnyAttr>::Output<CustomAttr<Name, V>>;

/// What has a name that is no Rust identifier.
pub trait CustomAttribute: Sized + AddAnyAttr {
    fn attr<V: AttributeValue>(self, name: &'static str, value: V) -> With<Self, V> {
        self.add_any_attr(custom_attribute(Name(name), value))
    }
}

impl<E, At, Ch> CustomAttribute for HtmlElement<E, At, Ch>
where
    E: ElementType + Send,
    At: Attribute + Send,
    Ch: RenderHtml + Send,
{
}

macro_rules! attributes {
    ($of:ident: $($method:ident $name:literal)*) => {
        pub trait $of: CustomAttribute {
            $(
                fn $method<V: AttributeValue>(self, value: V) -> With<Self, V> {
                    self.attr($name, value)
                }
            )*
        }

        impl<T: CustomAttribute> $of for T {}
    };
}

attributes! {
    GlobalAttributes:
    autocapitalize "autocapitalize" autocomplete "autocomplete" autofocus "autofocus" checked "checked" colspan "colspan"
    cols "cols" datetime "datetime" dir "dir" disabled "disabled" download "download" enctype "enctype" r#for "for"
    hidden "hidden" href "href" id "id" inputmode "inputmode" label "label" lang "lang" max "max" maxlength "maxlength"
    method "method" min "min" minlength "minlength" multiple "multiple" name "name" nonce "nonce" novalidate "novalidate" open "open"
    pattern "pattern" placeholder "placeholder" readonly "readonly" rel "rel" required "required" role "role" rows "rows"
    rowspan "rowspan" scope "scope" selected "selected" spellcheck "spellcheck" step "step" tabindex "tabindex"
    target "target" title "title" r#type "type" value "value"
}

attributes! {
    AriaAttributes:
    aria_activedescendant "aria-activedescendant" aria_autocomplete "aria-autocomplete" aria_busy "aria-busy"
    aria_checked "aria-checked" aria_controls "aria-controls" aria_current "aria-current" aria_describedby "aria-describedby"
    aria_disabled "aria-disabled" aria_expanded "aria-expanded" aria_haspopup "aria-haspopup" aria_hidden "aria-hidden"
    aria_invalid "aria-invalid" aria_keyshortcuts "aria-keyshortcuts" aria_label "aria-label"
    aria_labelledby "aria-labelledby" aria_live "aria-live" aria_modal "aria-modal" aria_pressed "aria-pressed"
    aria_selected "aria-selected" aria_sort "aria-sort" aria_valuemax "aria-valuemax" aria_valuemin "aria-valuemin"
    aria_valuenow "aria-valuenow" aria_valuetext "aria-valuetext"
}
