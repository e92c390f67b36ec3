use crate::{
    model::{Millis, time::SECOND},
    page::console::places::PLACES,
};

/// After G the next key names a page for so long.
const PREFIX: Millis = 2 * SECOND;

/// A key that went down, and where.
#[derive(Clone, Copy, Debug)]
pub struct Press<'a> {
    pub key: &'a str,
    /// Ctrl, or Cmd.
    pub has_command: bool,
    pub has_alt: bool,
    /// The focus is where letters are letters.
    pub is_typing: bool,
    pub in_dialog: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    Palette,
    Keys,
    Search,
    Go(&'static str),
    /// So many rows down.
    Move(isize),
    Tick,
    Open,
    /// Out of the field that the search went into.
    Leave,
    /// To where the operator was.
    Back,
}

#[derive(Debug, Default)]
pub struct Shortcuts {
    prefix_at: Option<Millis>,
}

impl Shortcuts {
    /// `off`: keys without Ctrl do nothing (WCAG 2.2, 2.1.4).
    pub fn press(&mut self, press: &Press<'_>, off: bool, now: Millis) -> Option<Act> {
        let prefixed = self.prefix_at.take().is_some_and(|at| (0..PREFIX).contains(&(now - at)));
        // A dialog has keys of its own, and lies above all.
        if press.in_dialog || press.has_alt {
            return None;
        }
        if press.has_command {
            return press.key.eq_ignore_ascii_case("k").then_some(Act::Palette);
        }
        match (press.key, press.is_typing) {
            ("Escape", true) => return Some(Act::Leave),
            ("Escape", false) => return Some(Act::Back),
            ("Enter", false) => return Some(Act::Open),
            (_, true) => return None,
            (_, false) if off => return None,
            (_, false) => {}
        }
        if prefixed {
            let place = PLACES.iter().find(|place| place.key.eq_ignore_ascii_case(press.key));
            return place.map(|place| Act::Go(place.path));
        }
        match press.key {
            "j" | "J" => Some(Act::Move(1)),
            "k" | "K" => Some(Act::Move(-1)),
            "x" | "X" => Some(Act::Tick),
            "/" => Some(Act::Search),
            "?" => Some(Act::Keys),
            "g" | "G" => {
                self.prefix_at = Some(now);
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Press<'_> =
        Press { key: "", has_command: false, has_alt: false, is_typing: false, in_dialog: false };

    fn pressed(press: &Press<'_>) -> Option<Act> {
        Shortcuts::default().press(press, false, 0)
    }

    #[test]
    fn keys_act_on_the_page() {
        let key = |key| pressed(&Press { key, ..PAGE });
        assert_eq!(key("j"), Some(Act::Move(1)));
        assert_eq!(key("K"), Some(Act::Move(-1)));
        assert_eq!((key("x"), key("/"), key("?")), (Some(Act::Tick), Some(Act::Search), Some(Act::Keys)));
        assert_eq!((key("Enter"), key("Escape")), (Some(Act::Open), Some(Act::Back)));
        assert_eq!((key("q"), key("Shift"), key("g")), (None, None, None));
    }

    #[test]
    fn letters_are_letters_where_somebody_types() {
        for key in ["j", "x", "/", "?", "Enter", "g"] {
            assert_eq!(pressed(&Press { key, is_typing: true, ..PAGE }), None, "{key}");
        }
        assert_eq!(pressed(&Press { key: "Escape", is_typing: true, ..PAGE }), Some(Act::Leave));
        assert_eq!(
            pressed(&Press { key: "k", has_command: true, is_typing: true, ..PAGE }),
            Some(Act::Palette)
        );
        assert_eq!(pressed(&Press { key: "j", has_command: true, ..PAGE }), None, "the browser's own");
        assert_eq!(pressed(&Press { key: "j", has_alt: true, ..PAGE }), None);
    }

    #[test]
    fn a_dialog_keeps_its_keys() {
        for key in ["j", "Escape", "Enter", "?"] {
            assert_eq!(pressed(&Press { key, in_dialog: true, ..PAGE }), None, "{key}");
        }
        assert_eq!(pressed(&Press { key: "k", has_command: true, in_dialog: true, ..PAGE }), None);
    }

    #[test]
    fn single_keys_can_be_switched_off() {
        let off = |press: &Press<'_>| Shortcuts::default().press(press, true, 0);
        for key in ["j", "k", "x", "/", "?"] {
            assert_eq!(off(&Press { key, ..PAGE }), None, "{key}");
        }
        assert_eq!(off(&Press { key: "Escape", ..PAGE }), Some(Act::Back));
        assert_eq!(off(&Press { key: "k", has_command: true, ..PAGE }), Some(Act::Palette));
    }

    #[test]
    fn a_page_is_named_by_the_key_after_g() {
        let mut shortcuts = Shortcuts::default();
        let mut press = |key, now| shortcuts.press(&Press { key, ..PAGE }, false, now);
        assert_eq!((press("g", 0), press("c", 500)), (None, Some(Act::Go("/commands"))));
        assert_eq!(press("c", 600), None, "once");
        assert_eq!((press("g", 1_000), press("x", 1_100)), (None, None), "no page has this key");
        assert_eq!((press("g", 2_000), press("j", 9_000)), (None, Some(Act::Move(1))), "too late");
    }
}
