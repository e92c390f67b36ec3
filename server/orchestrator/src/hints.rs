//! Several servers on one database: each tells the others of commands for agents that it does not hold, and looks when it
//! is told. Coalesced, after the commits, and only a hint.

use chrono::{DateTime, Utc};
use voltaxe_store::Hint;

use crate::{Strike, StrikeError};

impl Strike {
    /// Tells the other servers what gathered since the last call, in one note. Call it every few milliseconds.
    pub async fn tell_others(&self) -> Result<(), StrikeError> {
        let endpoints = self.delivery().shared().take_hints();
        if endpoints.is_empty() {
            return Ok(());
        }
        Ok(self.store().tell_hint(self.instance(), &endpoints).await?)
    }

    /// Looks after what the other servers tell of, until the connection fails. Call it in a loop.
    pub async fn hear_others(&self, clock: impl Fn() -> DateTime<Utc>) -> Result<(), StrikeError> {
        let mut listener = self.store().hear_hints(self.instance()).await?;
        // What was told while nobody listened.
        self.look_everywhere(clock()).await?;
        loop {
            match listener.next().await? {
                Hint::Everything => self.look_everywhere(clock()).await?,
                Hint::Endpoints(endpoints) => {
                    let shared = self.delivery().shared();
                    for endpoint in endpoints {
                        shared.registry.note_work(&endpoint);
                        shared.changed(&endpoint);
                        if shared.registry.has_stream(&endpoint) {
                            self.delivery().offer_on_stream(&endpoint, false, clock()).await?;
                        }
                    }
                }
            }
        }
    }

    async fn look_everywhere(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        self.delivery().shared().registry.forget_idleness();
        self.delivery().sweep(now).await
    }
}
