//! Elements that differ in their tags only. Those without an end (`input`), and those of SVG, stay leptos's own.

pub use ::leptos::tachys::html::element::*;

pub type Element = HtmlElement<Custom<Tag>, (), ()>;

/// As the document writes it: when an element is drawn anew, its tag is compared with what `tagName` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tag(&'static str);

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        self.0
    }
}

macro_rules! elements {
    ($($tag:ident $as_document_writes_it:ident)*) => {
        $(
            #[must_use]
            pub fn $tag() -> Element {
                custom(Tag(if cfg!(feature = "ssr") {
                    stringify!($tag)
                } else {
                    stringify!($as_document_writes_it)
                }))
            }
        )*

        /// By its tag, in small letters.
        #[must_use]
        pub fn element(tag: &'static str) -> Element {
            match tag {
                $(stringify!($tag) => $tag(),)*
                // Its elements are replaced when they are drawn anew.
                _ => custom(Tag(tag)),
            }
        }
    };
}

elements! {
    a A  article ARTICLE  aside ASIDE  b B  bdi BDI  button BUTTON  caption CAPTION  code CODE  dd DD  details DETAILS
    dialog DIALOG  div DIV  dl DL  dt DT  em EM  fieldset FIELDSET  figcaption FIGCAPTION  figure FIGURE  footer FOOTER
    form FORM  h1 H1  h2 H2  h3 H3  header HEADER  i I  kbd KBD  label LABEL  legend LEGEND  li LI  main MAIN  nav NAV
    ol OL  optgroup OPTGROUP  option OPTION  output OUTPUT  p P  pre PRE  q Q  section SECTION  select SELECT  small SMALL
    span SPAN  strong STRONG  summary SUMMARY  table TABLE  tbody TBODY  td TD  textarea TEXTAREA  tfoot TFOOT  th TH
    thead THEAD  time TIME  tr TR  ul UL
}
