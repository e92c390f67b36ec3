/// A page that the console's head leads to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub path: &'static str,
    pub name: &'static str,
    pub group: Group,
    /// Pressed after G.
    pub key: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// In sight.
    Daily,
    /// In the menu beside it.
    More,
}

/// In their order. A page that is not here is not in the head, the palette and the sheet of keys.
pub const PLACES: &[Place] = &[
    Place { path: "/", name: "Endpoints", group: Group::Daily, key: "e" },
    Place { path: "/commands", name: "Commands", group: Group::Daily, key: "c" },
    Place { path: "/batches", name: "Batches", group: Group::Daily, key: "b" },
    Place { path: "/schedules", name: "Schedules", group: Group::Daily, key: "s" },
    Place { path: "/enrol", name: "Enrol", group: Group::More, key: "n" },
    Place { path: "/audit", name: "Audit", group: Group::More, key: "a" },
    Place { path: "/health", name: "Health", group: Group::More, key: "h" },
    Place { path: "/operators", name: "Operators", group: Group::More, key: "o" },
    Place { path: "/tokens", name: "API tokens", group: Group::More, key: "k" },
    Place { path: "/webhooks", name: "Webhooks", group: Group::More, key: "w" },
    Place { path: "/settings", name: "Settings", group: Group::More, key: "t" },
];

impl Place {
    /// Also for what lies below a page.
    pub fn is_current(self, path: &str) -> bool {
        path.strip_prefix(self.path)
            .is_some_and(|rest| rest.is_empty() || (self.path != "/" && rest.starts_with('/')))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_has_a_path_and_a_key_of_its_own() {
        let paths: BTreeSet<_> = PLACES.iter().map(|place| place.path).collect();
        let keys: BTreeSet<_> = PLACES.iter().map(|place| place.key).collect();
        assert_eq!((paths.len(), keys.len()), (PLACES.len(), PLACES.len()));
        assert!(PLACES.iter().all(|place| place.key.len() == 1 && place.key.to_lowercase() == place.key));
    }

    #[test]
    fn a_place_is_current_for_what_lies_below_it() {
        let [endpoints, commands] = [PLACES[0], PLACES[1]];
        assert!(endpoints.is_current("/") && !endpoints.is_current("/commands"));
        assert!(commands.is_current("/commands") && commands.is_current("/commands/7"));
        assert!(!commands.is_current("/commands-of-old"));
    }
}
