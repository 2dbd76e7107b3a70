//! One sidecar's stream, from its first report to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::dapr::placement::v1::{Host, HostOperation};
use security::SpiffeId;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::check::check;
use crate::hub::{Hub, Seat};
use crate::line::{Line, Outlet};
use crate::rounds::{Kind, Message, Phase, Report};

const SCOPE: &str = "dapr.placement.server.loops.stream";
/// How long a client has to read the end of its stream; then its connection goes.
const LINGER: Duration = Duration::from_secs(5);
/// A stream that says more within a second is not read until the second is over.
const MOST_MESSAGES: u32 = 2048;
/// The same for reports, each of which can begin a round.
const MOST_REPORTS: u32 = 32;
const SECOND: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What its certificate says, where certificates are asked for.
    pub(crate) id: Option<Arc<SpiffeId>>,
    /// Ends its connection.
    pub(crate) connection: CancellationToken,
}

/// Reads a stream until either side ends it.
pub(crate) async fn converse(
    mut inbound: Streaming<Host>,
    peer: Peer,
    hub: Hub,
    line: Line,
    outlet: Outlet,
) {
    let mut seat = None;
    listen(&mut inbound, &peer, &hub, &line, outlet, &mut seat).await;
    if let Some(seat) = seat {
        hub.leave(&seat).await;
    }
    if let Some(status) = line.status() {
        let (address, text) = (peer.address, status.message());
        tracing::info!(target: SCOPE, "Closing connection to {address}: {text}");
    }
    // A client that does not read cannot be told.
    if timeout(LINGER, line.gone()).await.is_err() {
        peer.connection.cancel();
    }
}

async fn listen(
    inbound: &mut Streaming<Host>,
    peer: &Peer,
    hub: &Hub,
    line: &Line,
    outlet: Outlet,
    seat: &mut Option<Seat>,
) {
    let mut outlet = Some(outlet);
    let mut pace = Pace::new(Instant::now());
    loop {
        let message = tokio::select! {
            message = inbound.message() => message,
            () = line.ended() => return,
        };
        let host = match message {
            Ok(Some(host)) => host,
            Ok(None) => return line.end(Status::ok("")),
            Err(status) => {
                let (address, text) = (peer.address, status.message());
                tracing::warn!(target: SCOPE, "Error receiving from stream {address}: {text}");
                return line.end(status);
            }
        };
        if let Err(status) = check(&host, peer.id.as_deref()) {
            let (address, text) = (peer.address, status.message());
            tracing::warn!(target: SCOPE, "Authorization failed for stream {address}: {text}");
            return line.end(status);
        }
        if let Some(until) = pace.pause(is_report(&host), Instant::now()) {
            sleep_until(until).await;
        }
        let told = match (&seat, outlet.take()) {
            (Some(seat), _) => match message_of(host) {
                Some(message) => hub.say(seat, message).await,
                None => Ok(()),
            },
            (None, Some(outlet)) => {
                let (namespace, id, name) = (&host.namespace, &host.id, &host.name);
                tracing::info!(
                    target: "dapr.placement.server",
                    "Received status report connection from new namespace={namespace} id={id} host={name}"
                );
                let joined = hub.join(Report::new(host), outlet).await;
                joined.map(|joined| *seat = Some(joined))
            }
            // Without a seat the way out is still here.
            (None, None) => return,
        };
        if told.is_err() {
            return;
        }
    }
}

fn is_report(host: &Host) -> bool {
    use HostOperation::{Report, Unknown};
    host.operation == Report as i32 || host.operation == Unknown as i32
}

/// What a message means; one with an unknown operation means nothing.
fn message_of(host: Host) -> Option<Message> {
    let version = host.version;
    let kind = match HostOperation::try_from(host.operation).ok()? {
        HostOperation::Unknown => Kind::Unknown(Report::new(host)),
        HostOperation::Report => Kind::Report(Report::new(host)),
        HostOperation::Lock => Kind::Ack(Phase::Lock),
        HostOperation::Update => Kind::Ack(Phase::Update),
        HostOperation::Unlock => Kind::Ack(Phase::Unlock),
    };
    Some(Message { kind, version })
}

/// Counts what a stream says within a second.
#[derive(Debug)]
struct Pace {
    end: Instant,
    messages: u32,
    reports: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            end: now + SECOND,
            messages: 0,
            reports: 0,
        }
    }

    /// Until when a stream that says one more thing is to be made wait.
    fn pause(&mut self, report: bool, now: Instant) -> Option<Instant> {
        if now >= self.end {
            *self = Self::new(now);
        }
        self.messages += 1;
        self.reports += u32::from(report);
        if self.messages <= MOST_MESSAGES && self.reports <= MOST_REPORTS {
            return None;
        }
        let until = self.end;
        *self = Self::new(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_says_too_much_waits_for_the_next_second() {
        for (report, most) in [(false, MOST_MESSAGES), (true, MOST_REPORTS)] {
            let now = Instant::now();
            let mut pace = Pace::new(now);
            for _ in 0..most {
                assert_eq!(pace.pause(report, now), None);
            }
            assert_eq!(pace.pause(report, now), Some(now + SECOND));
            // What it said too much opens the next second.
            assert_eq!(pace.pause(report, now + SECOND), None);
        }
    }

    #[test]
    fn a_stream_that_keeps_its_pace_never_waits() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..10 * MOST_REPORTS {
            assert_eq!(pace.pause(true, now), None);
            now += SECOND / MOST_REPORTS;
        }
    }
}
