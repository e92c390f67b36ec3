use serde::{Deserialize, Serialize};

/// A host that was looked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FoundHost {
    pub id: String,
    pub hostname: String,
}
