//! The decoders of what sidecars say, for the crate `fuzz`.

use std::time::Duration;

use prost::Message;
use proto::dapr::placement::v1::{Host, PlacementOrder};
use tokio::time::Instant;

use crate::check::check;
use crate::orders;
use crate::rounds::{Effect, Event, Order, Phase, Report, Rounds, Timing};

/// The table that follows when the sender of this message is alone, as it goes
/// over the wire; the error is why its stream is closed.
pub fn table(message: &[u8]) -> Result<(Host, PlacementOrder), String> {
    let host = Host::decode(message).map_err(|e| e.to_string())?;
    check(&host, None).map_err(|status| status.message().to_owned())?;
    let timing = Timing {
        timeout: Duration::from_secs(8),
        window: Duration::ZERO,
    };
    let now = Instant::now();
    let mut rounds = Rounds::new(timing, now);
    let effects = rounds.on([Event::Joined(0, Report::new(host.clone()))], now);
    assert!(matches!(effects[0], Effect::Send { .. }), "{effects:?}");
    let order = Order {
        operation: Phase::Update,
        version: rounds.version(),
    };
    let frame = orders::frame(order, rounds.hosts(), 100);
    let order = PlacementOrder::decode(&frame[5..]).map_err(|e| e.to_string())?;
    Ok((host, order))
}
