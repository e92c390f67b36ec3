//! The session cookie. `__Host-`: the browser sends it back over a secure origin (or loopback), to this host only.

use voltaxe_orchestrator::operators::SessionToken;

pub const SESSION_COOKIE: &str = "__Host-voltaxe";

/// The value of a `Set-Cookie` header. Ends with the browser; the server's own limits end it earlier.
#[must_use]
pub fn set_cookie(token: &SessionToken) -> String {
    format!("{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict", token.expose())
}

/// The value of a `Set-Cookie` header that deletes it.
#[must_use]
pub fn clear_cookie() -> String {
    format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

/// The session's token in the value of a `Cookie` header. None too if there are two: somebody planted one.
#[must_use]
pub fn read(header: &str) -> Option<&str> {
    let mut found = header.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION_COOKIE && !value.is_empty()).then_some(value)
    });
    match (found.next(), found.next()) {
        (Some(token), None) => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_session_cookie_is_read() {
        assert_eq!(read("a=b; __Host-voltaxe=token; c=d"), Some("token"));
        assert_eq!(read("__Host-voltaxe=one; __Host-voltaxe=two"), None);
        assert_eq!(read("voltaxe=token; x__Host-voltaxe=token"), None);
        assert_eq!(read("__Host-voltaxe="), None);
        assert_eq!(read(""), None);
    }
}
