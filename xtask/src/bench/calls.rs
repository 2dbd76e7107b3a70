//! The same calls made three ways, one right after the other: on the store
//! itself, over HTTP and over gRPC.

use std::time::Duration;

use bytes::Bytes;
use proto::dapr::common::v1::StateItem;
use proto::dapr::runtime::v1::{GetStateRequest, SaveStateRequest};

use super::call::{Call, Via};
use super::load::{self, Figures, Load};
use super::report::Table;
use super::sidecar::{self, Sidecar, Stores};
use super::store::Direct;
use super::{invoke, mib, process, servers};

pub(super) async fn measure(table: &mut Table, span: Duration) -> anyhow::Result<()> {
    let port = testkit::free_port();
    let echo = servers::echo(port)?;
    let redis = sidecar::redis().await?;
    let stores = match redis {
        Some(_) => Stores::All,
        None => Stores::MemoryAndSqlite,
    };
    let daprd = sidecar::start(stores, redis.as_ref())?;
    daprd.ready().await?;
    sidecar::fill(&daprd, stores).await?;
    let folder = tempfile::tempdir()?;
    let own = [std::process::id()];

    for load in [Load::Rate(1000), Load::Maximum] {
        let floor = Call::http_get(port, "/".to_owned());
        let floor = load::measure(&floor, load, span, &[echo.id()]).await?;
        table.call("bare hyper echo", load, floor, "floor");
        for (name, via) in [
            ("bare hyper echo, gRPC", Via::Own(port)),
            (
                "bare hyper echo, gRPC, one channel",
                Via::shared(port).await?,
            ),
        ] {
            let floor = Call::GrpcEcho(via, None, invoke::payload());
            let floor = load::measure(&floor, load, span, &[echo.id()]).await?;
            table.call(name, load, floor, "floor of gRPC");
        }
        let nothing =
            load::measure(&Call::Nothing, load, span_of_nothing(load, span), &own).await?;
        table.call("no call: the load generator itself", load, nothing, "");
        for name in stores.names() {
            let direct = Direct::open(name, folder.path(), redis.as_ref()).await?;
            let one = One {
                daprd: &daprd,
                name,
                load,
                span,
                generator: nothing.cpu,
            };
            one.read(table, &direct).await?;
            one.save(table, &direct).await?;
            direct.close().await;
        }
    }
    let (rss, _) = process::memory(daprd.id())?;
    table.row("resident memory after state calls", mib(rss), "25 MiB");
    Ok(())
}

/// At the maximum an empty loop counts so many turns that a short one says
/// enough; at a rate it is subtracted from as few turns as it has itself.
fn span_of_nothing(load: Load, span: Duration) -> Duration {
    match load {
        Load::Rate(_) => span,
        Load::Maximum => span.min(Duration::from_secs(1)),
    }
}

/// One store under one load.
struct One<'a> {
    daprd: &'a Sidecar,
    name: &'a str,
    load: Load,
    span: Duration,
    /// CPU that the load generator takes per call, to be left out where it
    /// shares the process with the store.
    generator: f64,
}

impl One<'_> {
    async fn read(&self, table: &mut Table, direct: &Direct) -> anyhow::Result<()> {
        let direct = self.direct(table, "read", &direct.read()).await?;
        let path = format!("/v1.0/state/{}/key", self.name);
        let call = Call::http_get(self.daprd.http_port, path);
        let budget = match (self.name, self.load) {
            ("memory", Load::Rate(_)) => "60 µs CPU",
            ("memory", Load::Maximum) => "13 µs CPU",
            ("redis", Load::Maximum) => "25 µs CPU",
            _ => "",
        };
        self.through(table, "read, HTTP", &call, direct, budget)
            .await?;
        if !self.over_grpc() {
            return Ok(());
        }
        let req = GetStateRequest {
            store_name: self.name.to_owned(),
            key: "key".to_owned(),
            ..GetStateRequest::default()
        };
        let budget = match self.load {
            Load::Rate(_) => "",
            Load::Maximum => "18 µs CPU",
        };
        let port = self.daprd.grpc_port;
        for (what, via) in [
            ("read, gRPC", Via::Own(port)),
            ("read, gRPC, one channel", Via::shared(port).await?),
        ] {
            let call = Call::GrpcGet(via, req.clone());
            self.through(table, what, &call, direct, budget).await?;
        }
        Ok(())
    }

    async fn save(&self, table: &mut Table, direct: &Direct) -> anyhow::Result<()> {
        let direct = self.direct(table, "save", &direct.save()).await?;
        let path = format!("/v1.0/state/{}", self.name);
        let call = Call::http_post(self.daprd.http_port, path, sidecar::one_kib());
        self.through(table, "save, HTTP", &call, direct, "").await?;
        if !self.over_grpc() {
            return Ok(());
        }
        let item = StateItem {
            key: "key".to_owned(),
            value: Bytes::from(format!("\"{}\"", "x".repeat(1024))),
            ..StateItem::default()
        };
        let req = SaveStateRequest {
            store_name: self.name.to_owned(),
            states: vec![item],
        };
        let call = Call::GrpcSave(Via::Own(self.daprd.grpc_port), req);
        self.through(table, "save, gRPC", &call, direct, "").await
    }

    /// The transport costs the same whatever store is behind it, so it is
    /// measured on the one that hides least of it.
    fn over_grpc(&self) -> bool {
        self.name == "memory"
    }

    async fn direct(&self, table: &mut Table, what: &str, call: &Call) -> anyhow::Result<Figures> {
        let mut figures = load::measure(call, self.load, self.span, &[std::process::id()]).await?;
        figures.cpu = (figures.cpu - self.generator).max(0.0);
        table.call(
            &self.named(&format!("{what}, direct")),
            self.load,
            figures,
            "",
        );
        Ok(figures)
    }

    async fn through(
        &self,
        table: &mut Table,
        what: &str,
        call: &Call,
        direct: Figures,
        budget: &str,
    ) -> anyhow::Result<()> {
        let figures = load::measure(call, self.load, self.span, &[self.daprd.id()]).await?;
        let name = self.named(what);
        table.call(&name, self.load, figures, budget);
        table.added(&name, self.load, direct, figures);
        Ok(())
    }

    fn named(&self, what: &str) -> String {
        format!("{}: state {what}", self.name)
    }
}
