//! A placement service on free ports, which ends with the value.

use std::time::Duration;

use ::service::Tasks;
use placement::Config;
use testkit::{DEADLINE, Http, eventually, free_ports};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub(crate) struct Placement {
    pub(crate) port: u16,
    pub(crate) health: u16,
    pub(crate) metrics: u16,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), String>>,
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Placement {
    /// Starts it with these changes of its defaults.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let [port, health, metrics] = free_ports();
        let mut config = Config {
            id: "dapr-placement-0".into(),
            members: vec!["dapr-placement-0".into()],
            kubernetes: false,
            namespace: "default".into(),
            host: "127.0.0.1".into(),
            port,
            health_port: health,
            metrics_port: Some(metrics),
            metadata: true,
            replication: 100,
            keepalive_time: Duration::from_secs(2),
            keepalive_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(8),
            window: Duration::ZERO,
            tls: None,
            kubeconfig: String::new(),
        };
        change(&mut config);
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let run = async move { placement::run(&config, token).await };
        let running = Tasks::new().spawn("placement", run);
        let placement = Self {
            port,
            health,
            metrics,
            shutdown,
            running,
        };
        eventually(DEADLINE, async || {
            let reply = Http::port(health).get("/healthz").await?;
            anyhow::ensure!(reply.status == 200, "{}", reply.status);
            Ok(())
        })
        .await;
        placement
    }

    /// A connection that is opened at its first use.
    pub(crate) fn channel(&self) -> Channel {
        let uri = format!("http://127.0.0.1:{}", self.port);
        Channel::from_shared(uri).unwrap().connect_lazy()
    }

    /// Asks it to end.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn ended(mut self) -> Result<(), String> {
        (&mut self.running).await.unwrap()
    }
}
