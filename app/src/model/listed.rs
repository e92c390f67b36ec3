use serde::{Deserialize, Serialize};

/// Part of a list that is too long to be sent whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// Where the next part begins: to be given back as it is. None: this was the last.
    pub next: Option<i64>,
}
