//! What Sentry signs per second of its CPU.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use proto::dapr::sentry::v1::SignCertificateRequest;
use proto::dapr::sentry::v1::ca_client::CaClient;
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519};
use security::{AnchorSource, Connector, Options, Security, Service, pem};
use service::Tasks;
use tonic::transport::{Channel, Endpoint};

use super::call::{Call, Keep};
use super::load::{self, Load};
use super::report::Table;
use super::{mib, process};
use crate::sentry::Sentry;

const APP_ID: &str = "bench-client";

/// One request for a certificate, made again and again.
pub(super) struct Order {
    endpoint: Endpoint,
    connector: Connector,
    request: SignCertificateRequest,
}

pub(super) async fn measure(table: &mut Table, span: Duration) -> anyhow::Result<()> {
    let sentry = Sentry::start().await?;
    let tasks = Tasks::new();
    let order = Arc::new(Order::new(&sentry, &tasks).await?);
    let (rss, pss) = process::memory(sentry.id())?;
    let text = format!("{} RSS, {} PSS", mib(rss), mib(pss));
    table.row("idle memory, sentry", text, "8 MiB");
    for (name, keep, budget) in [
        ("certificate, kept connection", Keep::Kept, "12,000"),
        ("certificate, connection of its own", Keep::Closed, "3,000"),
    ] {
        let call = Call::Sign(order.clone(), keep);
        let figures = load::measure(&call, Load::Maximum, span, &[sentry.id()]).await?;
        table.served(name, Load::Maximum, figures, None, budget);
    }
    let (rss, _) = process::memory(sentry.id())?;
    table.row("memory of sentry after that load", mib(rss), "");
    tasks.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

impl Order {
    /// Its client has an identity already, as whoever renews one.
    async fn new(sentry: &Sentry, tasks: &Tasks) -> anyhow::Result<Self> {
        let options = Options::from_env(APP_ID, "default", |_| None).map_err(anyhow::Error::msg)?;
        let options = Options {
            sentry_address: sentry.address(),
            anchors: Some(AnchorSource::Pem(sentry.anchors().to_owned())),
            mtls: true,
            ..options
        };
        let security = Security::start(options, tasks).await?;
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key)?;
        Ok(Self {
            endpoint: Endpoint::from_shared(format!("http://{}", sentry.address()))?,
            connector: security.control_plane_connector(Service::Sentry),
            request: SignCertificateRequest {
                id: APP_ID.to_owned(),
                namespace: "default".to_owned(),
                certificate_signing_request: pem::encode("CERTIFICATE REQUEST", csr.der()).into(),
                token_validator: TokenValidator::Insecure.into(),
                ..SignCertificateRequest::default()
            },
        })
    }

    pub(super) async fn connect(&self) -> anyhow::Result<CaClient<Channel>> {
        let connector = self.connector.clone();
        let channel = self.endpoint.connect_with_connector(connector).await?;
        Ok(CaClient::new(channel))
    }

    pub(super) async fn sign(&self, client: &mut CaClient<Channel>) -> anyhow::Result<()> {
        let answer = client.sign_certificate(self.request.clone()).await?;
        let signed = !answer.into_inner().workload_certificate.is_empty();
        ensure!(signed, "sentry answers without a certificate");
        Ok(())
    }
}
