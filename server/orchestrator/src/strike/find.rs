use voltaxe_protocol::EndpointId;

use super::Strike;
use crate::{
    StrikeError,
    authority::{Permit, may},
};

const LONGEST: usize = 253;
const AT_ONCE: i64 = 8;

impl Strike {
    /// Ids and names of at most 8 active endpoints whose name has `text` in it, the likeliest first.
    pub async fn find_hosts(
        &self,
        _permit: &Permit<may::View>,
        text: &str,
    ) -> Result<Vec<(EndpointId, String)>, StrikeError> {
        let text = text.trim();
        // No name is that long.
        if text.len() > LONGEST {
            return Ok(Vec::new());
        }
        Ok(self.store().find_hosts(text, AT_ONCE).await?)
    }
}
