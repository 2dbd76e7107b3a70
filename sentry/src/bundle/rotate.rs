//! When a self-made authority is replaced, and by what.
//!
//! Nobody has the key of a self-made root, so a new issuer needs a new root. The
//! new root goes beside the old one into the anchors, and the old issuer signs a
//! bridge: the new root's name and key once more. The new issuer's chain carries
//! bridge and old issuer, so that whoever knows the old root only, such as a
//! sidecar whose anchors were given to it at its start, accepts the new leaves
//! until the old root ends. Then the plan drops what has ended. All state is in
//! the three files, in forms that upstream's Sentry reads too.

use super::{Owner, X509Bundle};
use crate::x509::Certificate;
use crate::x509::profile::{self, Validity};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Keep,
    /// It is a user's authority and comes to its end at this second.
    Warn(i64),
    /// A new root and issuer are due.
    Renew,
    /// Something of an earlier authority has ended.
    Prune,
}

/// What the plan depends on besides the certificates, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long a leaf lives.
    pub(crate) leaf_ttl: i64,
    pub(crate) clock_skew: i64,
}

/// What is due for these certificates at this second.
///
/// A new authority comes when a quarter of the issuer's life is left, or
/// earlier when leaves live so long that two generations of them need more.
pub(crate) fn plan(bundle: &X509Bundle, owner: &Owner, policy: Policy, now: i64) -> Plan {
    let issuer = bundle.issuer();
    let root = bundle.root(now);
    let end = root.map_or(issuer.not_after, |r| r.not_after.min(issuer.not_after));
    let life = issuer.not_after.saturating_sub(issuer.not_before);
    let leaves = policy.leaf_ttl.saturating_add(policy.clock_skew);
    let margin = (life / 4).max(leaves.saturating_mul(2)).min(life / 2);
    let due = end.saturating_sub(now) <= margin;
    match (bundle.self_made(owner, now), due) {
        (false, true) => Plan::Warn(end),
        (false, false) => Plan::Keep,
        (true, true) => Plan::Renew,
        (true, false) if bundle.chain.len() > 1 || bundle.anchors.len() > 1 => {
            let (anchors, chain) = pruned(bundle, owner, now);
            if (anchors.len(), chain.len()) == (bundle.anchors.len(), bundle.chain.len()) {
                Plan::Keep
            } else {
                Plan::Prune
            }
        }
        (true, false) => Plan::Keep,
    }
}

/// An anchor that Sentry made and that has ended; those that a user added stay.
fn ended(anchor: &Certificate, owner: &Owner, now: i64) -> bool {
    anchor.not_after < now && anchor.organization.as_deref() == Some(&owner.trust_domain)
}

/// The chain up to the first certificate that has ended.
fn kept_chain(bundle: &X509Bundle, now: i64) -> usize {
    let holds = |c: &&Certificate| c.not_after >= now;
    bundle.chain.iter().take_while(holds).count().max(1)
}

/// The anchors and the chain without what has ended.
pub(crate) fn pruned(
    bundle: &X509Bundle,
    owner: &Owner,
    now: i64,
) -> (Vec<Certificate>, Vec<Certificate>) {
    let anchors = bundle.anchors.iter().filter(|a| !ended(a, owner, now));
    let chain = bundle.chain[..kept_chain(bundle, now)].to_vec();
    (anchors.cloned().collect(), chain)
}

/// The bundle's successor: new root before the old ones, new issuer, bridge.
pub(crate) fn renewed(
    old: &X509Bundle,
    owner: &Owner,
    validity: Validity,
    now: i64,
) -> Result<X509Bundle, String> {
    let mut new = X509Bundle::generate(owner, validity)?;
    let root = &new.anchors[0];
    let issuer = old.issuer();
    let bridged = Validity {
        not_before: validity.not_before.max(issuer.not_before),
        not_after: issuer.not_after.min(validity.not_after),
    };
    let bridge = profile::bridge(old.signer(), &root.subject, &root.key, bridged)
        .map_err(|_| "failed to sign the bridge to the old root".to_owned())?;
    new.chain.push(Certificate::parse(&bridge)?);
    let kept = kept_chain(old, now);
    new.chain.extend(old.chain[..kept].iter().cloned());
    let anchors = old.anchors.iter().filter(|a| !ended(a, owner, now));
    new.anchors.extend(anchors.cloned());
    Ok(new)
}
