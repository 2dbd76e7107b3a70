//! Identities over real handshakes, with certificates of an authority made here.

#[cfg(test)]
mod anchors;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod fake_sentry;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod rotation;
