//! The JSON that the server puts into a page for the browser to start with.

use leptos::server::codee;
use serde::{Serialize, de::DeserializeOwned};

use crate::json;

/// As leptos's own JSON codec, but read as the answers of server functions are: each type's decoder is in the wasm once.
pub enum PageJson {}

impl<T: Serialize> codee::Encoder<T> for PageJson {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> codee::Decoder<T> for PageJson {
    type Error = json::Malformed;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, json::Malformed> {
        json::read(text.as_bytes())
    }
}
