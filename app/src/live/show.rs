/// What the stream is asked for on a page: what the page shows. A page that is not named here hears of everything.
pub fn of_page(path: &str) -> String {
    let mut parts = path.trim_matches('/').split('/');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("" | "enrol", None) => "endpoints".to_owned(),
        ("commands", None) => "commands".to_owned(),
        ("batches" | "schedules" | "login" | "setup", None) => "none".to_owned(),
        ("endpoints", Some(id)) => one("endpoint", id),
        ("evidence", Some(id)) => one("command", id),
        ("batches", Some(id)) => one("batch", id),
        _ => "all".to_owned(),
    }
}

/// The server refuses what cannot be an id.
fn one(what: &str, id: &str) -> String {
    let is_id = match what {
        "endpoint" => id.strip_prefix("ep_").is_some_and(|id| id.len() == 32 && hexadecimal(id)),
        "batch" => id.len() == 36 && id.split('-').count() == 5 && id.split('-').all(hexadecimal),
        _ => id.parse::<i64>().is_ok(),
    };
    if is_id { format!("{what}:{id}") } else { "none".to_owned() }
}

fn hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_for_what_it_shows() {
        const ENDPOINT: &str = "ep_0123456789abcdef0123456789abcdef";
        assert_eq!(of_page("/"), "endpoints");
        assert_eq!(of_page("/commands"), "commands");
        assert_eq!(of_page("/schedules"), "none");
        assert_eq!(of_page(&format!("/endpoints/{ENDPOINT}")), format!("endpoint:{ENDPOINT}"));
        assert_eq!(of_page(&format!("/endpoints/{ENDPOINT}/processes")), format!("endpoint:{ENDPOINT}"));
        assert_eq!(of_page("/evidence/17"), "command:17");
        let batch = "01234567-89ab-4cde-8f01-23456789abcd";
        assert_eq!(of_page(&format!("/batches/{batch}")), format!("batch:{batch}"));
        assert_eq!(of_page("/a-page-to-come"), "all");
    }

    #[test]
    fn what_is_no_id_is_not_asked_for() {
        for path in [
            "/endpoints/x",
            "/evidence/x",
            "/batches/x",
            "/endpoints/ep_1",
            "/batches/------------------------------------",
        ] {
            assert_eq!(of_page(path), "none", "{path}");
        }
    }
}
