//! The trust anchors, and the issuer with its key.

use super::Owner;
use crate::keys::SigningKey;
use crate::x509::Certificate;
use crate::x509::certificate::to_pem;
use crate::x509::profile::{self, Signer, Validity};

/// How long a self-made root and issuer live.
pub(crate) const LIFETIME: i64 = 365 * 24 * 3600;
/// What a self-made root and its issuer may differ in their end: two clocks readings.
const SAME_MOMENT: i64 = 60;

/// Anchors and issuer that fit together.
#[derive(Debug)]
pub(crate) struct X509Bundle {
    pub(crate) anchors: Vec<Certificate>,
    /// The issuer first; never the root.
    pub(crate) chain: Vec<Certificate>,
    pub(crate) key: SigningKey,
}

impl X509Bundle {
    /// Reads the three files' texts and checks that they fit together now.
    pub(crate) fn read(root: &[u8], issuer: &[u8], key: &[u8], now: i64) -> Result<Self, String> {
        let named = |what: &'static str| move |e| format!("failed to read the {what}: {e}");
        let anchors = Certificate::parse_all(root).map_err(named("trust anchors"))?;
        let mut chain = Certificate::parse_all(issuer).map_err(named("issuer certificate"))?;
        let key = SigningKey::from_pem(key).map_err(named("issuer key"))?;
        if !anchors.iter().all(Certificate::self_signed) {
            return Err("certificate in trust anchor is not self-signed".into());
        }
        if chain.len() > 1 && chain.last().is_some_and(Certificate::self_signed) {
            chain.pop();
        }
        let bundle = Self {
            anchors,
            chain,
            key,
        };
        if !bundle.issuer().may_sign {
            return Err("intermediate certificate is not valid for signing".into());
        }
        if bundle.issuer().key != *bundle.key.public() {
            return Err("issuer key does not match issuer certificate".into());
        }
        match bundle.root(now) {
            Some(_) => Ok(bundle),
            None => Err("issuer chain does not belong to trust anchors".into()),
        }
    }

    /// A new root and a new issuer; the root's key is gone when this returns.
    pub(crate) fn generate(owner: &Owner, validity: Validity) -> Result<Self, String> {
        Self::make(owner, validity).map_err(|_| "failed to make a root and an issuer".to_owned())
    }

    fn make(owner: &Owner, validity: Validity) -> Result<Self, Box<dyn std::error::Error>> {
        let root_key = SigningKey::generate_ed25519()?;
        let key = SigningKey::generate_ed25519()?;
        let root = profile::root(&root_key, &owner.trust_domain, validity)?;
        let root = Certificate::parse(&root)?;
        let signer = Signer {
            key: &root_key,
            subject: &root.subject,
            key_id: None,
        };
        let issuer = profile::issuer(signer, key.public(), &owner.id, validity)?;
        Ok(Self {
            anchors: vec![root],
            chain: vec![Certificate::parse(&issuer)?],
            key,
        })
    }

    pub(crate) fn issuer(&self) -> &Certificate {
        // No bundle is made without an issuer.
        &self.chain[0]
    }

    /// The anchor that the issuer belongs to, by certificates that hold now.
    pub(crate) fn root(&self, now: i64) -> Option<&Certificate> {
        for (at, certificate) in self.chain.iter().enumerate() {
            if !certificate.valid_at(now) {
                return None;
            }
            let signs =
                |anchor: &&Certificate| anchor.valid_at(now) && certificate.signed_by(anchor);
            if let Some(anchor) = self.anchors.iter().find(signs) {
                return Some(anchor);
            }
            let next = self.chain.get(at + 1)?;
            if !certificate.signed_by(next) {
                return None;
            }
        }
        None
    }

    /// Whether Sentry made this authority: the names are those it gives, and
    /// the root ends with the issuer, because nobody has the root's key any more.
    pub(crate) fn self_made(&self, owner: &Owner, now: i64) -> bool {
        let issuer = self.issuer();
        let organization = |c: &Certificate| c.organization.clone().unwrap_or_default();
        self.root(now).is_some_and(|root| {
            organization(issuer) == owner.id
                && organization(root) == owner.trust_domain
                && issuer.issuer == root.subject
                && (root.not_after - issuer.not_after).abs() <= SAME_MOMENT
        })
    }

    /// The anchors as every answer carries them.
    pub(crate) fn anchors_pem(&self) -> String {
        to_pem(&self.anchors)
    }

    /// The issuer and what stands between it and a root.
    pub(crate) fn chain_pem(&self) -> String {
        to_pem(&self.chain)
    }

    /// As the signer of leaves.
    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer {
            key: &self.key,
            subject: &self.issuer().subject,
            key_id: self.issuer().subject_key_id.as_deref(),
        }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.anchors == other.anchors
            && self.chain == other.chain
            && self.key.public() == other.key.public()
    }
}
