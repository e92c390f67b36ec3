//! How bytes get to the server and back: signed requests, the stream, and the addresses both use.

mod address;
mod http;
mod stream;
mod tls;

pub use address::ServerAddress;
pub use http::HttpClient;
pub use stream::{Stream, StreamEvent, open as open_stream};
pub use tls::{TlsError, TlsSettings};
