//! Where to go after signing in. The wish comes from the URL, so anybody can have written it.

/// The wish if it is a path on this server, else the endpoints list.
#[must_use]
pub fn after_sign_in(wish: Option<&str>) -> &str {
    match wish {
        Some(path) if is_local_path(path) => path,
        _ => "/",
    }
}

/// `//host`, `/\host` and anything with control characters leave this server in some browser.
fn is_local_path(path: &str) -> bool {
    let mut chars = path.chars();
    chars.next() == Some('/')
        && !matches!(chars.next(), Some('/' | '\\'))
        && path.chars().all(|c| !c.is_control() && c != '\\')
        && !path.starts_with("/login")
        && !path.starts_with("/setup")
        && !path.starts_with("/rpc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_pass() {
        for path in ["/", "/endpoints/ep_0a?x=1#y", "/enrol"] {
            assert_eq!(after_sign_in(Some(path)), path);
        }
    }

    #[test]
    fn everything_else_goes_home() {
        for wish in [
            "",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example",
            "javascript:alert(1)",
            "endpoints",
            "/\t/evil.example",
            "/\u{0}",
            "/login?next=/login",
            "/rpc/isolate",
        ] {
            assert_eq!(after_sign_in(Some(wish)), "/", "{wish:?}");
        }
        assert_eq!(after_sign_in(None), "/");
    }
}
