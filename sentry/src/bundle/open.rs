//! From the store to bundles that can sign; what is missing is made.

use super::jwt::JwtOptions;
use super::{JwtBundle, Owner, Saved, Store, Stored, X509Bundle};
use crate::bundle::x509::LIFETIME;
use crate::x509::Certificate;
use crate::x509::certificate::to_pem;
use crate::x509::profile::Validity;

const SCOPE: &str = "dapr.sentry.ca";
/// How often other replicas may be faster.
const TRIES: usize = 5;

/// What Sentry signs with.
#[derive(Debug)]
pub(crate) struct Bundles {
    pub(crate) x509: X509Bundle,
    pub(crate) jwt: Option<JwtBundle>,
    /// Whether the authority was made just now.
    pub(crate) new: bool,
}

/// Why the store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Start,
    /// Files changed under a process that serves: a part that is missing may be
    /// just being replaced.
    Change,
}

/// Reads the bundles, and makes and saves those that are not there.
pub(crate) async fn open(
    store: &Store,
    owner: &Owner,
    clock_skew: i64,
    jwt: Option<&JwtOptions>,
    occasion: Occasion,
    now: i64,
) -> Result<Bundles, String> {
    for _ in 0..TRIES {
        let opened = try_open(store, owner, clock_skew, jwt, occasion, now).await?;
        if let Some(bundles) = opened {
            return Ok(bundles);
        }
        tracing::info!(target: SCOPE, "Another replica changed the store: reading it again");
    }
    Err("other replicas keep changing the store".into())
}

/// `None` when another replica was faster.
async fn try_open(
    store: &Store,
    owner: &Owner,
    clock_skew: i64,
    jwt: Option<&JwtOptions>,
    occasion: Occasion,
    now: i64,
) -> Result<Option<Bundles>, String> {
    let stored = store.load().await?;
    let mut save = Stored::default();
    let parts = [&stored.root, &stored.issuer, &stored.key];
    let missing = parts.iter().filter(|part| part.is_none()).count();
    let (x509, new) = match (&stored.root, &stored.issuer, &stored.key) {
        (Some(root), Some(issuer), Some(key)) => {
            tracing::info!(target: SCOPE, "Root and issuer certs found: using credentials from store");
            (X509Bundle::read(root, issuer, key, now)?, false)
        }
        _ if occasion == Occasion::Change && missing < parts.len() => {
            return Err("root, issuer or key is missing".into());
        }
        _ => {
            tracing::info!(target: SCOPE, "Root and issuer certs not found: generating self signed CA");
            tracing::info!(target: SCOPE, "Generating self-signed CA certs and persisting to store");
            let bundle = X509Bundle::generate(owner, validity(clock_skew, now))?;
            put_x509(&mut save, &bundle);
            (bundle, true)
        }
    };
    let jwt = match (jwt, &stored.jwt_key, &stored.jwks) {
        (None, ..) => None,
        (Some(options), Some(key), Some(jwks)) => Some(JwtBundle::read(key, jwks, options)?),
        (Some(options), ..) => {
            tracing::info!(target: SCOPE, "Generating JWT signing key and persisting to store");
            let bundle = JwtBundle::generate(options)?;
            save.jwt_key = Some(bundle.key.to_pem().into_bytes());
            save.jwks = Some(bundle.json.clone());
            Some(bundle)
        }
    };
    if new || save.jwks.is_some() {
        if store.save(&save).await? == Saved::Overtaken {
            return Ok(None);
        }
        tracing::info!(
            target: SCOPE,
            "Self-signed certs and JWT root key generated and persisted successfully"
        );
    }
    Ok(Some(Bundles { x509, jwt, new }))
}

/// Saves an authority in place of the one that is there.
pub(crate) async fn replace(store: &Store, bundle: &X509Bundle) -> Result<Saved, String> {
    let mut save = Stored::default();
    put_x509(&mut save, bundle);
    store.save(&save).await
}

/// Saves fewer certificates than there were; the key stays.
pub(crate) async fn save_certificates(
    store: &Store,
    anchors: &[Certificate],
    chain: &[Certificate],
) -> Result<Saved, String> {
    let save = Stored {
        root: Some(to_pem(anchors).into_bytes()),
        issuer: Some(to_pem(chain).into_bytes()),
        ..Stored::default()
    };
    store.save(&save).await
}

/// The validity of an authority that is made now.
pub(crate) fn validity(clock_skew: i64, now: i64) -> Validity {
    Validity {
        not_before: now.saturating_sub(clock_skew),
        not_after: now.saturating_add(LIFETIME),
    }
}

fn put_x509(save: &mut Stored, bundle: &X509Bundle) {
    save.root = Some(bundle.anchors_pem().into_bytes());
    save.issuer = Some(bundle.chain_pem().into_bytes());
    save.key = Some(bundle.key.to_pem().into_bytes());
}
