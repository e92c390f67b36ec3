use std::{fmt, str::FromStr};

use url::{Host, Url};

/// The server's address: scheme, host and port, nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerUrl(Url);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerUrlError {
    #[error("write an address such as http://10.77.0.1:8080 or https://voltaxe.example.org")]
    NotAnAddress,
    #[error("only http:// and https:// are understood")]
    Scheme,
    #[error("leave out the user name and password: agents sign their requests")]
    Credentials,
    #[error("leave out everything after the port")]
    Path,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let url = Url::parse(text).map_err(|_| ServerUrlError::NotAnAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ServerUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ServerUrlError::Path);
        }
        Ok(Self(url))
    }
}

impl ServerUrl {
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("http addresses have a host")
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().expect("http schemes have a default port")
    }

    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and, unless it is the scheme's default, port: what `@authority` of a signed request covers.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_string(),
        }
    }

    /// `path` begins with `/`.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// The same server's WebSocket address.
    #[must_use]
    pub fn stream(&self, path: &str) -> String {
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_lower_case_and_without_the_default_port() {
        for (text, authority, port) in [
            ("http://Clarity-Hub:8080", "clarity-hub:8080", 8080),
            ("http://hub:80/", "hub", 80),
            ("https://hub", "hub", 443),
            ("https://hub:8443", "hub:8443", 8443),
            ("http://[fd00::1]:8080", "[fd00::1]:8080", 8080),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.authority().as_str(), url.port()), (authority, port));
        }
    }

    #[test]
    fn stream_follows_the_scheme() {
        let url: ServerUrl = "https://hub".parse().unwrap();
        assert_eq!(url.stream("/agent/stream"), "wss://hub/agent/stream");
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, error) in [
            ("hub:8080", ServerUrlError::Scheme),
            ("8080", ServerUrlError::NotAnAddress),
            ("ws://hub", ServerUrlError::Scheme),
            ("http://a:b@hub", ServerUrlError::Credentials),
            ("http://hub/api", ServerUrlError::Path),
            ("http://hub/?x=1", ServerUrlError::Path),
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(error), "{text}");
        }
    }
}
