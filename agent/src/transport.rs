//! How bytes get to the server and back: signed requests, the stream, the direct channel, and the server's addresses.

mod address;
mod direct;
pub mod evidence;
mod http;
mod stream;
mod tls;

pub use address::ServerAddress;
pub use direct::{DirectRequest, adopt as adopt_direct, serve as serve_direct};
pub use http::HttpClient;
pub use stream::{Stream, StreamEvent, open as open_stream};
pub use tls::{TlsError, TlsSettings};
