//! What a new host downloads: the installer, made for this server and the packages it has, and those packages.
//!
//! The console's enrol command names the installer's SHA-256, the installer names that of the list of packages, and the
//! list names theirs: whoever trusts the page that showed the command needs to trust nothing on the way to the host.

use std::{fmt::Write as _, fs, io, path::PathBuf, sync::Arc};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;
use url::Url;

use crate::problem::ApiError;

const SCRIPT: &str = include_str!("../../packaging/install.sh");
/// As `sha256sum` writes it; `scripts/package.sh` makes it.
const LIST: &str = "SHA256SUMS";
const LONGEST_LIST_BYTES: u64 = 64 * 1024;

/// Cheap to clone. Reads the list whenever it is asked, so new packages need no new start.
#[derive(Clone)]
pub struct Installer(Arc<Source>);

struct Source {
    packages: Option<PathBuf>,
    /// Where agents reach the gateway, without a trailing slash.
    origin: String,
}

impl Installer {
    /// `packages`: the directory with the packages and their list; `None` offers no installation.
    #[must_use]
    pub fn new(packages: Option<PathBuf>, agent_url: &Url) -> Self {
        // A user and password in the URL would be neither useful nor safe in a script.
        Self(Arc::new(Source { packages, origin: agent_url.origin().ascii_serialization() }))
    }

    /// SHA-256 of the script as it would be served now, in lower-case hex; `None` when there is nothing to install.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        match self.script() {
            Ok(script) => script.map(|script| sha256(script.as_bytes())),
            Err(error) => {
                tracing::warn!(%error, "{LIST} in --packages-dir cannot be read: hosts cannot be installed; run make package");
                None
            }
        }
    }

    fn script(&self) -> io::Result<Option<String>> {
        let list = self.list()?;
        Ok(list.map(|list| {
            SCRIPT.replace("@URL@", &self.0.origin).replace("@SUMS_SHA256@", &sha256(list.as_bytes()))
        }))
    }

    fn list(&self) -> io::Result<Option<String>> {
        let Some(directory) = &self.0.packages else { return Ok(None) };
        let path = directory.join(LIST);
        if fs::metadata(&path)?.len() > LONGEST_LIST_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{LIST} is longer than 64 KiB")));
        }
        fs::read_to_string(path).map(Some)
    }

    /// The path of a file that the list names, or of the list.
    fn file(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let (Some(directory), Some(list)) = (&self.0.packages, self.list()?) else { return Ok(None) };
        let is_plain = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        let is_listed =
            name == LIST || list.lines().any(|line| line.split_once("  ").is_some_and(|(_, n)| n == name));
        Ok((is_plain && is_listed).then(|| directory.join(name)))
    }
}

/// `GET /install.sh`: for `sh`. Holds no secret.
pub async fn script(State(installer): State<Installer>) -> Result<Response, ApiError> {
    let script = on_disk(move || installer.script()).await?.ok_or_else(no_packages)?;
    let content_type = HeaderValue::from_static("text/x-shellscript; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, content_type)], script).into_response())
}

/// `GET /packages/{file}`: a file that the list names, or the list.
pub async fn package(
    State(installer): State<Installer>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    if installer.0.packages.is_none() {
        return Err(no_packages());
    }
    let wanted = name.clone();
    let path = on_disk(move || installer.file(&wanted)).await?.ok_or_else(|| {
        ApiError::not_found(format!("there is no package {name:?}; GET /packages/{LIST} names them"))
    })?;
    let response = ServeFile::new(path).oneshot(request).await.unwrap_or_else(|never| match never {});
    Ok(response.into_response())
}

async fn on_disk<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    match spawn_blocking(read).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(no_packages()),
        Ok(Err(error)) => Err(ApiError::internal(error)),
        Err(error) => Err(ApiError::internal(error)),
    }
}

fn no_packages() -> ApiError {
    ApiError::not_found(format!(
        "this server has no packages of the agent; `make package` builds them, --packages-dir names their directory with its {LIST}"
    ))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
