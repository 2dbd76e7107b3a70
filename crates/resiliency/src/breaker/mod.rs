//! Circuit breakers: a machine, the condition that opens it, and the breaker
//! that concurrent calls share.

mod machine;
mod shared;
mod trip;

pub use machine::{Counts, Machine, Refusal, Settings, State, Ticket};
pub(crate) use shared::{Breaker, Entry};
pub(crate) use trip::Trip;
