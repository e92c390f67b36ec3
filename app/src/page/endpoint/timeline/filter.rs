//! Which entries a choice of the timeline shows.

/// Values and words; the first is chosen.
pub const KINDS: [(&str, &str); 6] = [
    ("most", "All but looks at the host"),
    ("all", "Everything"),
    ("isolation", "Isolation"),
    ("processes", "Processes"),
    ("evidence", "Evidence"),
    ("events", "Events, without commands"),
];

/// `what`: a command's kind, or an event's action, which has a dot.
pub fn is_shown(choice: &str, what: &str) -> bool {
    let is_event = what.contains('.');
    // These come of opening a page or a dialog, and change nothing.
    let is_look = matches!(what, "isolation_preview" | "list_processes");
    match choice {
        "isolation" => {
            matches!(what, "network_isolate" | "network_restore" | "isolation_change" | "isolation_preview")
                || what.starts_with("isolation.")
                || what.starts_with("release_ticket.")
                || what.starts_with("schedule.")
        }
        "processes" => what.ends_with("_process") || what == "list_processes",
        "evidence" => what == "collect_forensics",
        "events" => is_event,
        "all" => true,
        _ => !is_look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_shown_when_they_are_asked_for() {
        let shown = |choice| {
            let all =
                ["network_isolate", "isolation_preview", "kill_process", "list_processes", "isolation.drift"];
            all.into_iter().filter(|what| is_shown(choice, what)).collect::<Vec<_>>()
        };
        assert_eq!(shown("most"), ["network_isolate", "kill_process", "isolation.drift"]);
        assert_eq!(shown("all").len(), 5);
        assert_eq!(shown("isolation"), ["network_isolate", "isolation_preview", "isolation.drift"]);
        assert_eq!(shown("processes"), ["kill_process", "list_processes"]);
        assert_eq!(shown("events"), ["isolation.drift"]);
    }
}
