//! Where a page of the list begins, as text that nobody but this server reads.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use voltaxe_store::search::{Place, SortBy, SortKey};

const LONGEST: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cursor {
    pub(super) place: Place,
    pub(super) backwards: bool,
}

/// It is none, or of another order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    by: SortBy,
    descending: bool,
    backwards: bool,
    key: SortKey,
    id: String,
}

impl Cursor {
    pub(super) fn text(self, by: SortBy, descending: bool) -> String {
        let Self { place: Place { key, id }, backwards } = self;
        let written = Written { by, descending, backwards, key, id };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    pub(super) fn read(text: &str, by: SortBy, descending: bool) -> Result<Self, Malformed> {
        if text.len() > LONGEST {
            return Err(Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed)?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|_| Malformed)?;
        let holds_nul = matches!(&written.key, SortKey::Text(text) if text.contains('\0'));
        if written.by != by
            || written.descending != descending
            || !by.takes(&written.key)
            || holds_nul
            || written.id.contains('\0')
        {
            return Err(Malformed);
        }
        let place = Place { key: written.key, id: written.id };
        Ok(Self { place, backwards: written.backwards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_for_the_order_it_was_made_in() {
        let place = Place { key: SortKey::Text("web-01".into()), id: "ep_0".into() };
        let cursor = Cursor { place, backwards: true };
        let text = cursor.clone().text(SortBy::Host, false);
        assert_eq!(Cursor::read(&text, SortBy::Host, false), Ok(cursor));
        assert_eq!(Cursor::read(&text, SortBy::Host, true), Err(Malformed));
        assert_eq!(Cursor::read(&text, SortBy::Load, false), Err(Malformed));
        for bad in ["", "x", "e30", "=====", &"A".repeat(2_000)] {
            assert_eq!(Cursor::read(bad, SortBy::Host, false), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let place = Place { key: SortKey::Number(7), id: "ep_0".into() };
        let text = Cursor { place, backwards: false }.text(SortBy::Host, false);
        assert_eq!(Cursor::read(&text, SortBy::Host, false), Err(Malformed));
    }
}
