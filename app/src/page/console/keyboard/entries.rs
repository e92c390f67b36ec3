use crate::{
    clock::Zone,
    model::{FoundHost, Order, Session},
    page::console::places::PLACES,
};

/// A line of the palette.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub title: String,
    pub about: &'static str,
    pub does: Does,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Does {
    Go(String),
    /// Goes on writing.
    Write(&'static str),
    Theme(&'static str),
    Zone(Zone),
    Keys,
    SignOut,
}

/// What can be done about one host: what is written for it, what comes before the host's name, what it is, and what its page's
/// address ends in.
struct Verb {
    word: &'static str,
    start: &'static str,
    about: &'static str,
    end: &'static str,
    /// None: everybody who sees the host.
    order: Option<Order>,
}

const VERBS: [Verb; 6] = [
    Verb { word: "open ", start: "Open ", about: "Host", end: "", order: None },
    Verb {
        word: "isolate ",
        start: "Isolate ",
        about: "Asks for a reason first",
        end: "?order=isolate",
        order: Some(Order::Isolate),
    },
    Verb {
        word: "release ",
        start: "Release ",
        about: "Asks for a reason first",
        end: "?order=release",
        order: Some(Order::Restore),
    },
    Verb {
        word: "check ",
        start: "Check ",
        about: "Asks for a reason first",
        end: "?order=check",
        order: Some(Order::Check),
    },
    Verb {
        word: "collect ",
        start: "Collect evidence from ",
        about: "Evidence of the host",
        end: "/evidence",
        order: Some(Order::Check),
    },
    Verb {
        word: "processes ",
        start: "Processes of ",
        about: "What runs on the host",
        end: "/processes",
        order: Some(Order::Check),
    },
];

const ACTIONS: [(&str, Does); 7] = [
    ("Times in UTC", Does::Zone(Zone::Utc)),
    ("Times in local time", Does::Zone(Zone::Local)),
    ("Theme: light", Does::Theme("light")),
    ("Theme: dark", Does::Theme("dark")),
    ("Theme: as the system", Does::Theme("auto")),
    ("Keyboard shortcuts", Does::Keys),
    ("Sign out", Does::SignOut),
];

/// The part of a text that a host's name has in it. None: nothing is written yet.
pub fn host_text(text: &str) -> Option<&str> {
    match verb_of(text) {
        Some((_, rest)) => Some(rest),
        None => Some(text.trim()).filter(|text| !text.is_empty()),
    }
}

fn verb_of(text: &str) -> Option<(&'static Verb, &str)> {
    let text = text.trim_start();
    VERBS.iter().find_map(|verb| {
        let (start, rest) = text.split_at_checked(verb.word.len())?;
        start.eq_ignore_ascii_case(verb.word).then_some((verb, rest.trim()))
    })
}

/// `found`: hosts for [`host_text`].
pub fn entries(text: &str, found: &[FoundHost], session: &Session) -> Vec<Entry> {
    let may = |verb: &&Verb| verb.order.is_none_or(|order| session.may(order).yes);
    if let Some((verb, _)) = verb_of(text).filter(|(verb, _)| may(verb)) {
        return found.iter().map(|host| about(verb, host)).collect();
    }
    let wanted = text.trim().to_ascii_lowercase();
    let is_wanted = |title: &str| title.to_ascii_lowercase().contains(&wanted);
    let verbs = || VERBS.iter().filter(may);
    let mut entries: Vec<_> = found.iter().map(|host| about(&VERBS[0], host)).collect();
    if let [only] = found {
        entries.extend(verbs().skip(1).map(|verb| about(verb, only)));
    }
    let starts = verbs().skip(1).filter(|verb| verb.word.starts_with(&wanted) || is_wanted(verb.start));
    entries.extend(starts.map(|verb| Entry {
        title: format!("{}…", verb.start.trim_end()),
        about: "Then a host's name",
        does: Does::Write(verb.word),
    }));
    let places = PLACES.iter().filter(|place| is_wanted(place.name));
    entries.extend(places.map(|place| Entry {
        title: place.name.to_owned(),
        about: "Page",
        does: Does::Go(place.path.to_owned()),
    }));
    let actions = ACTIONS.into_iter().filter(|(title, _)| is_wanted(title));
    entries.extend(actions.map(|(title, does)| Entry { title: title.to_owned(), about: "", does }));
    entries
}

fn about(verb: &Verb, host: &FoundHost) -> Entry {
    Entry {
        title: format!("{}{}", verb.start, host.hostname),
        about: verb.about,
        does: Does::Go(format!("/endpoints/{}{}", host.id, verb.end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, session::Allowed};

    fn session(yes: bool) -> Session {
        let allowed = Allowed { yes, needs: Role::Responder };
        Session {
            username: "ann".to_owned(),
            role: Role::Viewer,
            isolate: allowed,
            restore: allowed,
            check: allowed,
            cancel: allowed,
            annotate: allowed,
            enrol: allowed,
            approve: allowed,
        }
    }

    fn found(names: &[&str]) -> Vec<FoundHost> {
        let host = |name: &&str| FoundHost { id: format!("ep_{name}"), hostname: (*name).to_owned() };
        names.iter().map(host).collect()
    }

    fn titles(text: &str, names: &[&str], yes: bool) -> Vec<String> {
        entries(text, &found(names), &session(yes)).into_iter().map(|entry| entry.title).collect()
    }

    #[test]
    fn a_verb_is_for_every_host_that_was_found() {
        assert_eq!(host_text(" Isolate  web-0"), Some("web-0"));
        assert_eq!(
            titles("isolate web-0", &["web-01", "web-02"], true),
            ["Isolate web-01", "Isolate web-02"]
        );
        let does = entries("release web-01", &found(&["web-01"]), &session(true)).remove(0).does;
        assert_eq!(does, Does::Go("/endpoints/ep_web-01?order=release".to_owned()));
        assert_eq!(host_text("isolate "), Some(""));
    }

    #[test]
    fn a_host_that_is_the_only_one_comes_with_all_that_can_be_done_about_it() {
        let titles = titles("web-01", &["web-01"], true);
        assert_eq!(titles[..3], ["Open web-01", "Isolate web-01", "Release web-01"]);
        assert_eq!(titles.len(), VERBS.len());
    }

    #[test]
    fn pages_and_actions_are_found_by_their_names() {
        assert_eq!(titles("sched", &[], true), ["Schedules"]);
        assert_eq!(titles("sign", &[], true), ["Sign out"]);
        assert_eq!(titles("iso", &[], true), ["Isolate…"]);
        assert_eq!(host_text("  "), None);
        assert_eq!(titles("", &[], true).len(), VERBS.len() - 1 + PLACES.len() + ACTIONS.len());
        assert!(titles("xyz", &[], true).is_empty());
    }

    #[test]
    fn nobody_is_offered_what_would_be_refused() {
        assert_eq!(titles("web-01", &["web-01"], false), ["Open web-01"]);
        assert!(!titles("", &[], false).iter().any(|title| title.ends_with('…')));
        assert!(titles("isolate web-01", &["web-01"], false).iter().all(|title| title == "Open web-01"));
    }
}
