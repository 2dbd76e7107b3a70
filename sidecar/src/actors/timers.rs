//! Timers: kept in the memory of this sidecar.

use actors::call::Actor;
use actors::timers::NewTimer;

use super::{Actors, names};
use crate::api::error::ApiError;
use crate::api::errors::actors as errors;

impl Actors {
    /// Creates a timer, or puts it in the place of the one that has its name.
    pub(crate) async fn create_timer(&self, timer: NewTimer) -> Result<(), ApiError> {
        self.admits(&timer.actor).map_err(|e| errors::general(&e))?;
        names::check(&timer.name)
            .map_err(|e| errors::bad_request(&format!("invalid timer name: {e}")))?;
        let runtime = self.ready().await.map_err(|e| errors::timer_create(&e))?;
        let created = runtime.timers.create(timer);
        created.map_err(|e| errors::timer_create(&e))
    }

    /// Deletes a timer, which need not be there.
    pub(crate) async fn delete_timer(&self, actor: &Actor, name: &str) -> Result<(), ApiError> {
        self.admits(actor).map_err(|e| errors::general(&e))?;
        let runtime = self.ready().await.map_err(|e| errors::general(&e))?;
        runtime.timers.delete(actor, name);
        Ok(())
    }
}
