//! Calls of actors: on the sidecar that hosts them, through another one, and of
//! actors that nobody has called before.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use testkit::{Process, free_port};

use super::call::Call;
use super::load::{self, CALLERS, Load};
use super::plane::Plane;
use super::report::Table;
use super::servers::{self, ACTOR_TYPE};
use super::sidecar::{Setup, Sidecar, Stores};
use super::{mib, process};

const IDS: u32 = 1000;
const BUDGET: &str = "20,000 per CPU second, p99 3500 µs";

/// An app whose sidecar hosts its actors, a sidecar that only calls them, and what
/// they are compared with.
struct Scene {
    host: Sidecar,
    caller: Sidecar,
    app: Process,
    app_port: u16,
    hop: Process,
    hop_port: u16,
    _plane: Plane,
}

pub(super) async fn measure(table: &mut Table, span: Duration) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (host, caller) = (&scene.host, &scene.caller);
    for (name, port, pids, budget) in [
        (
            "actor's app, called directly",
            scene.app_port,
            vec![scene.app.id()],
            "",
        ),
        (
            "actor's app, through a bare hop",
            scene.hop_port,
            vec![scene.hop.id()],
            "floor",
        ),
        (
            "actor call, one host",
            host.http_port,
            vec![host.id()],
            BUDGET,
        ),
        (
            "actor call, through another sidecar",
            caller.http_port,
            vec![caller.id(), host.id()],
            "",
        ),
    ] {
        let figures = load::measure(&call(port, &turn(), IDS), Load::Maximum, span, &pids).await?;
        table.block(name, CALLERS, figures, budget);
    }
    let (before, _) = process::memory(host.id())?;
    let new = Rc::new(Cell::new(IDS));
    let each_new = call(host.http_port, &new, u32::MAX);
    let figures = load::measure(&each_new, Load::Maximum, span, &[host.id()]).await?;
    table.block("actor call, a new actor each", CALLERS, figures, "");
    let (after, _) = process::memory(host.id())?;
    let count = new.get() - IDS;
    let each = (after as f64 - before as f64) / f64::from(count);
    let name = format!("memory per idle actor of {count}");
    table.row(&name, format!("{:.2} KiB", each / 1024.0), "1 KiB");
    let (rss, _) = process::memory(caller.id())?;
    let name = "memory of the calling sidecar after that load";
    table.row(name, mib(rss), "25 MiB");
    Ok(())
}

impl Scene {
    async fn start() -> anyhow::Result<Self> {
        let plane = Plane::start().await?;
        let app_port = free_port();
        let app = servers::actors(app_port)?;
        let hop_port = free_port();
        let sidecar = |app_id: &str, app: Option<u16>| {
            let app_id = format!("bench-{app_id}-{}", std::process::id());
            let setup = Setup {
                app_id: &app_id,
                stores: Stores::Actors,
                redis: None,
                app: app.map(|port| (port, "http")),
                sentry: None,
                plane: Some(&plane),
            };
            setup.start()
        };
        let scene = Self {
            host: sidecar("actors", Some(app_port))?,
            caller: sidecar("caller", None)?,
            app,
            app_port,
            hop: servers::hop(hop_port, app_port)?,
            hop_port,
            _plane: plane,
        };
        call(hop_port, &turn(), IDS).works().await;
        for sidecar in [&scene.host, &scene.caller] {
            sidecar.ready().await?;
            call(sidecar.http_port, &turn(), IDS).works().await;
        }
        Ok(scene)
    }
}

/// Calls of one actor after the other, of as many as there are.
fn call(port: u16, turn: &Rc<Cell<u32>>, actors: u32) -> Call {
    let turn = turn.clone();
    let body = Bytes::from(vec![b'x'; 1024]);
    let next = move || {
        let id = turn.get() % actors;
        turn.set(turn.get() + 1);
        let path = format!("/v1.0/actors/{ACTOR_TYPE}/{id}/method/echo");
        Call::http_echo(port, path, body.clone())
    };
    Call::Series(port, Rc::new(next))
}

fn turn() -> Rc<Cell<u32>> {
    Rc::default()
}
