//! Calls from app to app: at once, over two bare hops, and through two sidecars
//! with mutual TLS between them.

use std::time::Duration;

use bytes::Bytes;
use proto::dapr::common::v1::StreamPayload;
use testkit::{Process, free_port, free_ports};

use super::call::{Call, Via};
use super::idle;
use super::load::{self, Load};
use super::report::Table;
use super::sidecar::{Setup, Sidecar, Stores};
use super::{mib, process, servers};
use crate::sentry::Sentry;

const METHOD: &str = "/echo";

/// Everything that runs meanwhile. Names are of this run alone, because other
/// sidecars of this user are found under theirs.
struct Scene {
    app: Process,
    app_port: u16,
    hops: (Process, Process),
    hops_port: u16,
    caller: Sidecar,
    http_callee: (String, Sidecar),
    grpc_callee: (String, Sidecar),
    _sentry: Sentry,
}

pub(super) async fn measure(table: &mut Table, span: Duration) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    // The first call touches what an idle sidecar has touched before.
    scene.caller.http().get("/v1.0/metadata").await?;
    let (rss, pss) = process::memory(scene.caller.id())?;
    let text = format!("{} RSS, {} PSS", mib(rss), mib(pss));
    table.row("idle memory, mutual TLS, no components", text, "9 MiB");
    for call in [scene.http_hops(), scene.http(), scene.grpc()] {
        call.works().await;
    }
    let each = idle::per_connection(scene.caller.http_port, scene.caller.id()).await?;
    let name = format!("memory per idle connection of {}", idle::CONNECTIONS);
    table.row(&name, format!("{:.1} KiB", each / 1024.0), "16 KiB");
    for load in [Load::Rate(1000), Load::Maximum] {
        scene.over_http(table, load, span).await?;
        scene.over_grpc(table, load, span).await?;
    }
    for (whose, sidecar) in [
        ("the caller's", &scene.caller),
        ("the HTTP callee's", &scene.http_callee.1),
        ("the gRPC callee's", &scene.grpc_callee.1),
    ] {
        let (rss, _) = process::memory(sidecar.id())?;
        let name = format!("memory of {whose} sidecar after that load");
        table.row(&name, mib(rss), "25 MiB");
    }
    Ok(())
}

impl Scene {
    async fn start() -> anyhow::Result<Self> {
        let sentry = Sentry::start().await?;
        let [app_port, hops_port] = free_ports();
        let app = servers::echo(app_port)?;
        let hops = servers::hops(&sentry, [hops_port, free_port(), app_port])?;
        let sidecar = |app_id: &str, protocol: Option<&str>| {
            let setup = Setup {
                app_id,
                stores: Stores::None,
                redis: None,
                app: protocol.map(|protocol| (app_port, protocol)),
                sentry: Some(&sentry),
                plane: None,
            };
            setup.start()
        };
        let own = |name| format!("bench-{name}-{}", std::process::id());
        let (http, grpc) = (own("http"), own("grpc"));
        let scene = Self {
            app,
            app_port,
            hops,
            hops_port,
            caller: sidecar(&own("caller"), None)?,
            http_callee: (http.clone(), sidecar(&http, Some("http"))?),
            grpc_callee: (grpc.clone(), sidecar(&grpc, Some("grpc"))?),
            _sentry: sentry,
        };
        for sidecar in [&scene.caller, &scene.http_callee.1, &scene.grpc_callee.1] {
            sidecar.ready().await?;
        }
        Ok(scene)
    }

    fn http_direct(&self) -> Call {
        Call::http_echo(self.app_port, METHOD.to_owned(), body())
    }

    fn http_hops(&self) -> Call {
        Call::http_echo(self.hops_port, METHOD.to_owned(), body())
    }

    fn http(&self) -> Call {
        let path = format!("/v1.0/invoke/{}/method{METHOD}", self.http_callee.0);
        Call::http_echo(self.caller.http_port, path, body())
    }

    fn grpc_direct(&self) -> Call {
        Call::GrpcEcho(Via::Own(self.app_port), None, payload())
    }

    fn grpc(&self) -> Call {
        let app_id = Some(self.grpc_callee.0.clone());
        Call::GrpcEcho(Via::Own(self.caller.grpc_port), app_id, payload())
    }

    async fn over_http(&self, table: &mut Table, load: Load, span: Duration) -> anyhow::Result<()> {
        let app = [self.app.id()];
        let hops = [self.hops.0.id(), self.hops.1.id()];
        let sidecars = [self.caller.id(), self.http_callee.1.id()];
        let direct = load::measure(&self.http_direct(), load, span, &app).await?;
        table.served("HTTP: app, directly", load, direct, None, "");
        let floor = load::measure(&self.http_hops(), load, span, &hops).await?;
        table.served("HTTP: two bare hops", load, floor, Some(floor), "floor");
        let through = load::measure(&self.http(), load, span, &sidecars).await?;
        let budget = match load {
            Load::Rate(_) => "2,800",
            Load::Maximum => "10,000",
        };
        table.served("HTTP: two sidecars", load, through, Some(floor), budget);
        table.delayed("HTTP: two bare hops", load, direct, floor, "");
        let budget = at_rate(load, "450, 420, 1200");
        table.delayed("HTTP: two sidecars", load, direct, through, budget);
        Ok(())
    }

    async fn over_grpc(&self, table: &mut Table, load: Load, span: Duration) -> anyhow::Result<()> {
        let app = [self.app.id()];
        let sidecars = [self.caller.id(), self.grpc_callee.1.id()];
        let direct = load::measure(&self.grpc_direct(), load, span, &app).await?;
        table.served("gRPC: app, directly", load, direct, None, "");
        let through = load::measure(&self.grpc(), load, span, &sidecars).await?;
        let budget = match load {
            Load::Rate(_) => "",
            Load::Maximum => "10,000",
        };
        table.served("gRPC: two sidecars", load, through, None, budget);
        let budget = at_rate(load, "400, -, 1200");
        table.delayed("gRPC: two sidecars", load, direct, through, budget);
        Ok(())
    }
}

/// At the maximum, latency is mostly callers waiting for each other.
fn at_rate(load: Load, budget: &'static str) -> &'static str {
    match load {
        Load::Rate(_) => budget,
        Load::Maximum => "",
    }
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; 1024])
}

pub(super) fn payload() -> StreamPayload {
    StreamPayload {
        data: body(),
        seq: 0,
    }
}
